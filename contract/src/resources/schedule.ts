import { Type, type Static } from 'typebox'
import { missedTickPolicies, scheduleStates, tickOutcomes } from '../states.ts'
import { BatchOrder } from './batch.ts'
import { ProblemResource } from './problem.ts'
import { Timestamp } from './time.ts'

const OrNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])

const fields = {
  name: Type.String({ minLength: 1, maxLength: 200 }),
  cron: Type.String({ minLength: 1, maxLength: 200, description: 'Minute, hour, day, month, weekday; or @daily.' }),
  time_zone: Type.String({ minLength: 1, maxLength: 100, description: 'IANA name, e.g. Europe/Berlin.' }),
  missed_ticks: Type.Enum([...missedTickPolicies], {
    description:
      'Ticks during which nothing ran, by more than a minute: none of them is fired, the last one, or all of the last 7 days.',
  }),
  overlap: Type.Boolean({
    description:
      'Whether a tick may start a batch while the one before it still runs. An import source never is twice at once.',
  }),
}
const importSource = Type.String({
  maxLength: 100,
  description: 'The import source that is looked through, in place of a batch.',
})

/** What each tick starts: exactly one of batch and import_source_id. */
export const ScheduleOrder = Type.Object(
  {
    name: fields.name,
    cron: fields.cron,
    time_zone: Type.Optional(fields.time_zone),
    missed_ticks: Type.Optional(fields.missed_ticks),
    overlap: Type.Optional(fields.overlap),
    batch: Type.Optional(BatchOrder),
    import_source_id: Type.Optional(importSource),
  },
  { additionalProperties: false },
)
export type ScheduleOrder = Static<typeof ScheduleOrder>

export const ScheduleChange = Type.Object(
  {
    name: Type.Optional(fields.name),
    cron: Type.Optional(fields.cron),
    time_zone: Type.Optional(fields.time_zone),
    missed_ticks: Type.Optional(fields.missed_ticks),
    overlap: Type.Optional(fields.overlap),
    batch: Type.Optional(BatchOrder),
    import_source_id: Type.Optional(importSource),
    paused: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
export type ScheduleChange = Static<typeof ScheduleChange>

export const ScheduleResource = Type.Object(
  {
    schedule_id: Type.String(),
    ...fields,
    batch: OrNull(BatchOrder),
    import_source_id: OrNull(importSource),
    state: Type.Enum([...scheduleStates]),
    next_run_at: OrNull(Timestamp),
    last_tick: OrNull(
      Type.Object({
        at: Timestamp,
        outcome: Type.Enum([...tickOutcomes]),
        batch_id: OrNull(Type.String()),
      }),
    ),
    problem: OrNull(ProblemResource),
    created_at: Timestamp,
  },
  { $id: 'Schedule' },
)
export type ScheduleResource = Static<typeof ScheduleResource>
