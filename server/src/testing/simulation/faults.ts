// Which faults a history has, and how many. Not all at once: what hides behind one fault is found where it is missing
// (swarm testing, Groce et al. 2012). Probabilities are per message, call or task; pauses between crashes in milliseconds.

import type { Random } from './random.ts'

export interface Faults {
  /** Until then; afterwards nothing goes wrong any more. */
  endMs: number
  hintLost: number
  hintDoubled: number
  hintDelayed: number
  hintReordered: number
  /** Mean time between two moments in which the ready queue loses all it holds; 0: never. */
  emptiedEveryMs: number
  /** Of these moments, how many the transport does not tell of. */
  emptiedSilently: number
  callFailsBefore: number
  callFailsAfter: number
  callSlow: number
  /** Time between the statements of a transaction. */
  statementSlow: number
  wakeLost: number
  workerCrashEveryMs: number
  workerFreezeEveryMs: number
  workerDrainEveryMs: number
  leaderCrashEveryMs: number
  leaderFreezeEveryMs: number
  clockJumpEveryMs: number
  taskRetries: number
  taskRejects: number
  /** Kills the worker that runs it, each time. */
  taskPoisonous: number
  taskReleased: number
  jobCancelled: number
  jobPaused: number
  jobRetried: number
  jobReplayed: number
  /** How long a hint, and a worker, has its task. */
  dispatchLeaseMs: number
  runLeaseMs: number
}

export function chooseFaults(random: Random): Faults {
  const isCalm = random.chance(0.05)
  const some = (share: number, min: number, max: number): number =>
    !isCalm && random.chance(share) ? random.between(min, max) : 0
  return {
    endMs: random.between(1_000, 10_000),
    hintLost: some(0.35, 0.02, 0.6),
    hintDoubled: some(0.35, 0.02, 0.6),
    hintDelayed: some(0.35, 0.02, 0.6),
    hintReordered: some(0.35, 0.02, 0.6),
    emptiedEveryMs: some(0.3, 500, 8_000),
    emptiedSilently: random.next(),
    callFailsBefore: some(0.35, 0.01, 0.3),
    callFailsAfter: some(0.35, 0.01, 0.3),
    callSlow: some(0.35, 0.01, 0.2),
    statementSlow: some(0.5, 0.05, 0.6),
    wakeLost: some(0.3, 0.1, 1),
    workerCrashEveryMs: some(0.35, 500, 10_000),
    workerFreezeEveryMs: some(0.35, 500, 10_000),
    workerDrainEveryMs: some(0.25, 1_000, 10_000),
    leaderCrashEveryMs: some(0.3, 500, 10_000),
    leaderFreezeEveryMs: some(0.3, 500, 10_000),
    clockJumpEveryMs: some(0.3, 500, 10_000),
    taskRetries: some(0.5, 0.05, 0.6),
    taskRejects: some(0.4, 0.02, 0.3),
    taskPoisonous: some(0.15, 0.02, 0.2),
    taskReleased: some(0.25, 0.02, 0.2),
    jobCancelled: some(0.4, 0.1, 0.8),
    jobPaused: some(0.4, 0.1, 0.8),
    jobRetried: some(0.4, 0.2, 1),
    jobReplayed: some(0.4, 0.2, 1),
    dispatchLeaseMs: random.pick([1_000, 3_000, 8_000]),
    runLeaseMs: random.pick([1_500, 3_000, 6_000]),
  }
}
