import { openOurs } from './ours.ts'
import { peers } from './peers.ts'
import type { OpenSide } from './side.ts'

export const sides = {
  'millrace, PGlite, in-process': openOurs('in-process'),
  'millrace, in-process': openOurs('in-process'),
  'millrace, pg': openOurs('pg'),
  'millrace, bullmq': openOurs('bullmq'),
  ...peers,
} as const satisfies Record<string, OpenSide>
export type SideName = keyof typeof sides
