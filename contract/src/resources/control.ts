import { Type, type Static } from 'typebox'
import { controlKinds, controlStates } from '../states.ts'
import { ProblemResource } from './problem.ts'
import { Moment, Timestamp } from './time.ts'

const OrNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])

const deadLetterConditions = {
  pipeline: Type.Optional(Type.String({ minLength: 1, maxLength: 120 })),
  processor: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
  code: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: 'Code of the problem.' })),
  file_name: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'A piece of it, in any case.' })),
  died_after: Type.Optional(Moment),
  died_before: Type.Optional(Moment),
}
/** Every condition must hold; none means all. */
export const DeadLetterFilter = Type.Object(deadLetterConditions, { additionalProperties: false })
export type DeadLetterFilter = Static<typeof DeadLetterFilter>

export const JobFilter = Type.Object(
  {
    pipeline: Type.Optional(Type.String({ minLength: 1, maxLength: 120 })),
    status: Type.Optional(Type.Enum(['queued', 'running', 'paused'])),
    file_name: Type.Optional(Type.String({ minLength: 1, maxLength: 500, description: 'A piece of it, in any case.' })),
    created_after: Type.Optional(Moment),
    created_before: Type.Optional(Moment),
  },
  { additionalProperties: false },
)
export type JobFilter = Static<typeof JobFilter>

/** A task that no further attempt will help. */
export const DeadLetterResource = Type.Object(
  {
    task_id: Type.String(),
    job_id: Type.String(),
    file_id: Type.String(),
    file_name: Type.String(),
    pipeline: Type.String(),
    step: Type.String(),
    ordinal: Type.Integer({ minimum: 0, description: 'Which task of the step, where it was fanned out.' }),
    processor: Type.String(),
    attempts: Type.Integer({ minimum: 0 }),
    problem: OrNull(ProblemResource),
    died_at: OrNull(Timestamp),
  },
  { $id: 'DeadLetter' },
)
export type DeadLetterResource = Static<typeof DeadLetterResource>

/** A dead letter with what was tried. */
export const DeadLetterExplanation = Type.Object(
  {
    ...DeadLetterResource.properties,
    parameters: Type.Unknown({ description: 'With which the processor was run.' }),
    attempts_max: Type.Integer({ minimum: 1 }),
    lost_count: Type.Integer({ minimum: 0, description: 'How often the worker was lost while it ran.' }),
    tried: Type.Array(
      Type.Object({
        attempt: Type.Integer(),
        outcome: Type.String(),
        worker: OrNull(Type.String()),
        problem: OrNull(ProblemResource),
        started_at: OrNull(Timestamp),
        ended_at: Timestamp,
      }),
      { description: 'The last 100 attempts, in their order.' },
    ),
  },
  { $id: 'DeadLetterExplanation' },
)
export type DeadLetterExplanation = Static<typeof DeadLetterExplanation>

/** What was asked of many at once, worked off in the background. */
export const ControlTaskResource = Type.Object(
  {
    control_task_id: Type.String(),
    kind: Type.Enum([...controlKinds]),
    filter: Type.Record(Type.String(), Type.Unknown()),
    status: Type.Enum([...controlStates]),
    matched: Type.Integer({
      minimum: 0,
      description: 'How many there were when it was asked, counted up to 1,000,000.',
    }),
    seen: Type.Integer({ minimum: 0 }),
    done: Type.Integer({ minimum: 0 }),
    skipped: Type.Integer({ minimum: 0, description: 'In a state that does not allow it any more, or not yet.' }),
    progress: Type.Number({ minimum: 0, maximum: 100 }),
    created_at: Timestamp,
    finished_at: OrNull(Timestamp),
  },
  { $id: 'ControlTask' },
)
export type ControlTaskResource = Static<typeof ControlTaskResource>
