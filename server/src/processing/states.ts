// The moves of tasks, steps and jobs. What is not in these tables does not happen: every move is one conditional update
// on the state and, from `dispatched` on, on lease_epoch; when it meets no row, the race was lost and nothing follows.
//
//   (created) ──▶ queued, or running at once: the only successor of a task whose worker goes on with it (continuation.ts)
//   queued ──admitted and claimed in one, where the worker is in the leader's process──▶ running
//   blocked ──last need done──▶ queued ──admitted──▶ dispatched ──claimed──▶ running ──done──▶ succeeded
//                                ▲  ▲                  │ lease over,           │  ▲ heartbeat extends
//                       run_at   │  └──────────────────┘ handed back          │  └──┘
//                     delayed ───┘◀────────────── retry, after a backoff ─────┤
//                                ▲                                            ├── permanent, or attempts used ──▶ dead
//                                └── released, or worker lost (no attempt) ───┤
//                                                     lost for the third time ┴──▶ dead
//   blocked, delayed, queued, dispatched, running ── job cancelled or stopped ──▶ cancelled
//   delayed, queued, dispatched ── job paused ──▶ blocked ── resumed ──▶ queued, or delayed until its time
//   dead, cancelled ── retry of the job ──▶ queued
//
// A step's tasks are created when its needs have ended; until then the step waits and has none.
//
//   waiting ──claimed──▶ running ──last task ended──▶ succeeded, or failed when one is dead
//      │ └── condition false, or a need died ──▶ skipped      └── job cancelled or stopped ──▶ cancelled
//      └─── no task to do ──▶ succeeded
//
//   queued ──first task claimed──▶ running ──last step ended──▶ completed, completed_with_errors or failed
//      └────────────┴── cancel ──▶ cancelling ──nothing runs any more──▶ cancelled
//   queued, running ── pause ──▶ paused ── resume ──▶ running, or queued when nothing of it has begun
//   paused ── its last running task ended ──▶ completed, completed_with_errors or failed
//   completed, completed_with_errors, failed, cancelled ── retry, replay ──▶ running

import type { JobState, StepState, TaskState } from '@millrace/contract'

export const taskMoves = {
  blocked: ['queued', 'delayed', 'skipped', 'cancelled'],
  delayed: ['queued', 'blocked', 'cancelled'],
  queued: ['dispatched', 'running', 'blocked', 'cancelled'],
  dispatched: ['running', 'queued', 'blocked', 'cancelled'],
  running: ['succeeded', 'delayed', 'queued', 'dead', 'cancelled'],
  succeeded: [],
  dead: ['queued'],
  skipped: ['queued'],
  cancelled: ['queued'],
} as const satisfies Record<TaskState, readonly TaskState[]>

export const stepMoves = {
  waiting: ['running', 'succeeded', 'failed', 'skipped', 'cancelled'],
  running: ['succeeded', 'failed', 'cancelled', 'waiting'],
  succeeded: ['waiting'],
  failed: ['waiting', 'cancelled'],
  skipped: ['waiting'],
  cancelled: ['waiting', 'failed'],
} as const satisfies Record<StepState, readonly StepState[]>

export const jobMoves = {
  queued: ['running', 'paused', 'cancelling', 'cancelled', 'completed', 'completed_with_errors', 'failed'],
  running: ['paused', 'cancelling', 'cancelled', 'completed', 'completed_with_errors', 'failed'],
  paused: ['queued', 'running', 'cancelling', 'cancelled', 'completed', 'completed_with_errors', 'failed'],
  cancelling: ['cancelled'],
  completed: ['running'],
  completed_with_errors: ['running'],
  failed: ['running'],
  cancelled: ['running'],
} as const satisfies Record<JobState, readonly JobState[]>

const allows = <State extends string>(moves: Record<State, readonly State[]>, from: State, to: State): boolean =>
  moves[from].includes(to)

export const isTaskMove = (from: TaskState, to: TaskState): boolean => allows<TaskState>(taskMoves, from, to)
export const isStepMove = (from: StepState, to: StepState): boolean => allows<StepState>(stepMoves, from, to)
export const isJobMove = (from: JobState, to: JobState): boolean => allows<JobState>(jobMoves, from, to)

/** States in which a task may still run; a step's tasks_pending counts these. */
export const taskOpenStates = ['blocked', 'delayed', 'queued', 'dispatched', 'running'] as const
/** Open, and in nobody's hands: cancelled at once. */
export const taskIdleStates = ['blocked', 'delayed', 'queued', 'dispatched'] as const
