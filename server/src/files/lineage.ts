// What was made from what, and by which version of which processor: a graph around one file. Backwards it reaches the
// archives that the file came out of; forwards its versions, all outputs of all jobs over them, and its own members.

import type { LineageResource } from '@millrace/contract'
import type { Sql } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import {
  listAncestors,
  listLineageOutputs,
  listLineageVersions,
  listMemberFiles,
  type MadeBy,
  type RelativeRow,
} from './lineage.sql.ts'

/** Of each kind; a graph that is larger says so. */
const countMax = 1_000

type Edge = LineageResource['edges'][number]

/** Throws Problem('not_found'). */
export async function readLineage(sql: Sql, tenantId: number, fileId: RowId<'file'>): Promise<LineageResource> {
  const ancestors = await listAncestors(sql, tenantId, fileId)
  if (ancestors.length === 0) throw new Problem('not_found')
  const of = { tenantId, fileId, limit: countMax + 1 }
  const versions = await listLineageVersions(sql, of)
  const outputs = await listLineageOutputs(sql, of)
  const members = await listMemberFiles(sql, of)
  const truncated = [versions, outputs, members].some((rows) => rows.length > countMax)
  for (const rows of [versions, outputs, members]) rows.length = Math.min(rows.length, countMax)

  /** Who has an object, as the id that is told. Outputs may share one. */
  const ownerOf = new Map<string, string>()
  for (const output of outputs.toReversed()) ownerOf.set(output.object_id, encodeId('output', output.id))
  for (const version of versions) ownerOf.set(version.object_id, encodeId('version', version.id))

  const edges: Edge[] = [
    ...[...ancestors.toReversed(), ...members].flatMap(toMemberEdge),
    ...versions.map((version): Edge => ({
      from: encodeId('file', fileId),
      to: encodeId('version', version.id),
      kind: 'version',
      made_by: null,
    })),
    ...outputs.flatMap((output) =>
      output.made_from.flatMap((objectId): Edge[] => {
        const from = ownerOf.get(objectId)
        const to = encodeId('output', output.id)
        return from === undefined ? [] : [{ from, to, kind: 'output', made_by: toMadeBy(output) }]
      }),
    ),
  ]
  return { file_id: encodeId('file', fileId), edges, truncated }
}

/** From the version of the archive that was opened, or the archive itself when that version is gone. */
function toMemberEdge({ id, parent_file_id, parent_version_id, made }: RelativeRow): Edge[] {
  if (parent_file_id === null) return []
  const from = parent_version_id === null ? encodeId('file', parent_file_id) : encodeId('version', parent_version_id)
  return [{ from, to: encodeId('file', id), kind: 'member', made_by: made && toMadeBy(made) }]
}

const toMadeBy = ({ job_id, step, processor, processor_version }: MadeBy): Edge['made_by'] => ({
  job_id: encodeId('job', job_id),
  step,
  processor,
  processor_version,
})
