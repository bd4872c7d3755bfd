// Lines of a manifest become items: those that name a file wait to be started, the others have failed and say why.

import type { Tx } from '../../platform/database.ts'
import { insertItems, listKnownFiles, listNamedFiles, type NewItem } from './batch-item.sql.ts'
import type { ItemCounts } from './batch.sql.ts'
import type { ManifestEntry } from './manifest.ts'

/** Enters the lines; answers how many items there are more of each state. */
export async function enterLines(
  tx: Tx,
  { tenantId, batchId, entries }: { tenantId: number; batchId: number; entries: readonly ManifestEntry[] },
): Promise<Required<Pick<ItemCounts, 'pending' | 'failed'>>> {
  const ids = entries.flatMap(({ fileId }) => (fileId === undefined ? [] : [fileId]))
  const names = entries.flatMap(({ name }) => (name === undefined ? [] : [name]))
  const known = new Set(ids.length === 0 ? [] : await listKnownFiles(tx, tenantId, ids))
  const named = new Map(
    (names.length === 0 ? [] : await listNamedFiles(tx, tenantId, names)).map(({ name, id }) => [name, id]),
  )
  const items = entries.map(({ line, reference, fileId, name, fault }): NewItem => {
    const found = fileId !== undefined && known.has(fileId) ? fileId : named.get(name ?? '')
    if (found !== undefined) return { ordinal: line, reference, fileId: found, problem: null }
    const problem =
      fault === undefined
        ? { code: 'not_found' as const, detail: 'There is no such file.' }
        : { code: 'manifest_invalid' as const, detail: fault }
    return { ordinal: line, reference, fileId: null, problem }
  })
  await insertItems(tx, { tenantId, batchId, items })
  const failed = items.filter(({ fileId }) => fileId === null).length
  return { pending: items.length - failed, failed }
}
