// A task desk in memory: hands out the tasks it is given and remembers what is reported.

import { setTimeout as delay } from 'node:timers/promises'
import type { TaskAssignment, TaskDesk, TaskOutcome } from '../../processing/task.ts'
import { eventually } from './eventually.ts'

export interface FakeDesk extends TaskDesk {
  add(...tasks: TaskAssignment[]): void
  /** In the order of their reports. */
  readonly reports: { task: TaskAssignment; outcome: TaskOutcome }[]
  /** Tasks that were taken so far. */
  takenCount: number
  /** Tasks that are handed out as one. */
  bunchCount: number
  /** What a worker goes on with after a task, by its id. */
  readonly following: Map<number, TaskAssignment>
  /** What the next heartbeats answer of a task. */
  readonly stops: Map<number, 'cancelled' | 'lost'>
  /** Whether reports find their lease alive; or throw. */
  answer: () => boolean
  outcomeOf(taskId: number): Promise<TaskOutcome>
}

export function createFakeDesk(): FakeDesk {
  const ready: TaskAssignment[] = []
  const desk: FakeDesk = {
    add: (...tasks) => void ready.push(...tasks),
    reports: [],
    takenCount: 0,
    bunchCount: 1,
    following: new Map(),
    stops: new Map(),
    answer: () => true,
    async take({ max, waitMs, signal }) {
      for (const end = performance.now() + waitMs; ready.length === 0;) {
        if (signal.aborted || performance.now() > end) return []
        await delay(5)
      }
      const taken = ready.splice(0, max * desk.bunchCount)
      desk.takenCount += taken.length
      return taken
    },
    heartbeat: async (held) =>
      held.flatMap(({ taskId }) => {
        const stop = desk.stops.get(taskId)
        return stop === undefined ? [] : [{ taskId, stop }]
      }),
    async report(task, outcome) {
      const isAlive = desk.answer()
      desk.reports.push({ task, outcome })
      return isAlive
    },
    async reportAndContinue(task, outcome) {
      const isWritten = await desk.report(task, outcome)
      return { isWritten, next: isWritten && outcome.kind === 'done' ? desk.following.get(task.taskId) : undefined }
    },
    async outcomeOf(taskId) {
      const find = () => desk.reports.find(({ task }) => task.taskId === taskId)
      await eventually(() => {
        if (find() === undefined) throw new Error(`task ${taskId} has not been reported`)
      })
      return find()!.outcome // Found just now.
    },
  }
  return desk
}

/** A task with as little as it needs. */
export function testTask(
  taskId: number,
  processor: string,
  options: Partial<Omit<TaskAssignment, 'input'>> & { input?: Partial<TaskAssignment['input']> } = {},
): TaskAssignment {
  const { input, ...rest } = options
  return {
    taskId,
    epoch: 1,
    tenantId: 7,
    jobId: 70,
    step: 'step',
    ordinal: 0,
    attempt: 1,
    attemptsMax: 5,
    file: {
      fileId: 1,
      name: '../evil\n"name".txt',
      contentType: 'text/plain',
      sizeBytes: 5,
      sha256: '00',
      metadata: {},
      depth: 0,
    },
    results: {},
    ...rest,
    input: {
      processor,
      stage: 'transform',
      parameters: {},
      files: [],
      timeoutMs: 20_000,
      memoryBytes: 1024 ** 3,
      backoff: { initial_ms: 1, max_ms: 1 },
      ...input,
    },
  }
}
