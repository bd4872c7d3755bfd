// What supervisor and child say to each other: lines of JSON over one socket pair. The child says that it is ready
// once; then each request is answered by one line with the same token, which no earlier task can know. Anything else
// that arrives is hostile or broken, and ends the child.

import type { SandboxRun } from '../../pipeline/processor.ts'

export interface ChildRequest {
  token: string
  processor: string
  run: SandboxRun
}

export type ChildReply = {
  token: string
  /** Resident memory at the end, to recycle a child that grows; a hint, not a guard. */
  rssBytes: number
} & ({ outcome: unknown } | { crashed: string })

export const readyLine = '{"ready":true}'

/** Longest reply: a million characters of text, all of them escaped, beside a large result. */
export const replyBytesMax = 16 * 1024 ** 2
