// Members of an archive become files of the tenant: sealed like an upload, within its quota.

import { sealFiles } from '../files/seal.ts'
import type { Tx } from '../platform/database.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import { readTenantLimits } from '../tenants/limits.ts'
import type { Quota } from '../tenants/quota.ts'
import type { MemberFiles, SealedMember } from './engine-store.ts'
import type { Pipelines } from './pipelines.ts'

const nameLengthMax = 4_000

/** False, with nothing changed, when the quota has no room for all of them. */
export async function sealMembers(
  tx: Tx,
  members: MemberFiles,
  { quota, pipelines }: { quota: Quota; pipelines: Pipelines },
): Promise<SealedMember[] | false> {
  const { tenantId, parentFileId, depth, files } = members
  const limits = await readTenantLimits(tx, tenantId)
  const bytes = files.reduce((sum, file) => sum + file.object.sizeBytes, 0)
  const room = { bytes, files: files.length }
  const reservation = await quota.reserve(tx, tenantId, limits, room).catch((error: unknown) => {
    if (error instanceof Problem && error.code === 'quota_exceeded') return undefined
    throw error
  })
  if (reservation === undefined) return false
  const createdBy = members.createdBy as Principal['actor'] // The column was written from one.
  const given = files.map(({ name, ...file }) => ({
    ...file,
    name: name.replaceAll('\0', '').slice(0, nameLengthMax) || 'unnamed',
  }))
  const entered = await sealFiles(
    tx,
    given.map((file) => ({ ...file, tenantId, metadata: {}, createdBy, parentFileId, made: members.made, depth })),
  )
  const sealed: SealedMember[] = []
  for (const [index, { name, contentType, object }] of given.entries()) {
    const { pipelineVersionId, definition } = await pipelines.choose(tx, { tenantId, contentType })
    // One was entered for each.
    sealed.push({ ...entered[index]!, name, contentType, object, pipelineVersionId, definition })
  }
  await quota.settle(tx, reservation, limits)
  return sealed
}
