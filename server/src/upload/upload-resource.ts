import { problems, type ProblemCode, type UploadResource } from '@millrace/contract'
import { encodeId } from '../platform/ids.ts'
import type { SessionRow } from './upload-session.sql.ts'

export const toUploadResource = (row: SessionRow): UploadResource => ({
  upload_id: encodeId('upload', row.id),
  kind: row.kind,
  state: row.state,
  name: row.name,
  size_bytes: row.size_bytes,
  received_bytes: row.received_bytes,
  bytes_per_second: row.bytes_per_second,
  estimated_completion: estimateOf(row),
  part_size_bytes: row.part_size_bytes,
  parts_count: partsCountOf(row),
  source: sourceOf(row.source),
  result: row.result,
  problem: problemOf(row),
  created_at: row.created_at.toISOString(),
  expires_at: row.expires_at.toISOString(),
  ended_at: row.ended_at?.toISOString() ?? null,
})

/** How many parts a session in parts has when it is whole. */
export const partsCountOf = (row: Pick<SessionRow, 'size_bytes' | 'part_size_bytes'>): number | null =>
  row.part_size_bytes === null || row.size_bytes === null ? null : Math.ceil(row.size_bytes / row.part_size_bytes)

function estimateOf(row: SessionRow): string | null {
  if (row.state !== 'receiving' || row.size_bytes === null || row.progress_at === null || !row.bytes_per_second)
    return null
  const leftMs = ((row.size_bytes - row.received_bytes) / row.bytes_per_second) * 1_000
  // Beyond what a date holds, nobody waits for it.
  return leftMs > estimateMsMax ? null : new Date(row.progress_at.getTime() + leftMs).toISOString()
}

const estimateMsMax = 365 * 24 * 60 * 60_000

const sourceOf = (source: unknown): string | null =>
  typeof source === 'object' && source !== null && 'shown' in source && typeof source.shown === 'string'
    ? source.shown
    : null

/** What is kept of a problem, for people. */
export function problemOf({ problem }: Pick<SessionRow, 'problem'>): UploadResource['problem'] {
  if (problem === null) return null
  const known = Object.hasOwn(problems, problem.code) ? problems[problem.code as ProblemCode] : problems.internal
  return { code: problem.code, detail: problem.detail ?? known.title, remedy: known.remedy }
}
