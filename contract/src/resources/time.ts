// Points in time, as they are told and as they are asked for.

import { Type } from 'typebox'

/** RFC 3339, in answers always in UTC. */
export const Timestamp = Type.String({ format: 'date-time' })

/** The same from a client: only what every database and every language takes for a time. */
export const Moment = Type.String({
  format: 'date-time',
  pattern: '^(?!0000).{17}[0-5].*([Zz]|[+-](0\\d|1[0-5]):\\d\\d)$',
  form: 'a time such as 2026-01-31T12:00:00Z',
})
