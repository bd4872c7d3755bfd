// What owners do with their files once they are here. Each change is one transaction with its audit event, and throws
// Problem('not_found') for a file that is not the tenant's or, but for restore and get, lies in the trash.

import { writeAudit } from '../platform/audit.ts'
import type { Database, Tx } from '../platform/database.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import type { SearchIndex } from '../search/search-index.ts'
import {
  findFile,
  findFileContent,
  insertFileOutbox,
  listFiles,
  listVersions,
  lockFile,
  renameFile,
  trashFile,
  type FileContentRow,
  type FileFilter,
  type FileRow,
  type FileVersionRow,
} from './file.sql.ts'
import { requireCleared } from './clearance.ts'
import { checkFileName } from './file-name.ts'
import { checkMetadata } from './metadata.ts'

export interface FileAct {
  principal: Principal
  requestId: string
  fileId: RowId<'file'>
}

export interface FileChange {
  name?: string
  metadata?: Record<string, unknown>
}

export interface Files {
  get(tenantId: number, fileId: RowId<'file'>): Promise<FileRow>
  list(filter: FileFilter): Promise<FileRow[]>
  /** Problems: not_found, file_name_invalid, invalid_request. */
  update(act: FileAct, change: FileChange): Promise<FileRow>
  /** Doing it twice is doing it once. */
  moveToTrash(act: FileAct): Promise<void>
  restore(act: FileAct): Promise<FileRow>
  listVersions(
    tenantId: number,
    versions: { fileId: RowId<'file'>; before: number; limit: number },
  ): Promise<FileVersionRow[]>
  /** What may leave. Problems: not_found, and those of requireCleared. */
  getContent(tenantId: number, content: { fileId: RowId<'file'>; version?: number }): Promise<FileContentRow>
}

export interface FilesDependencies {
  database: Database
  searchIndex: SearchIndex
  /** Bytes of one file's metadata as JSON that the tenant may have. */
  metadataBytesMax: (tx: Tx, tenantId: number) => Promise<number>
}

export function createFiles({ database, searchIndex, metadataBytesMax }: FilesDependencies): Files {
  const readFile = async (tx: Tx, tenantId: number, fileId: number): Promise<FileRow> => {
    const row = await findFile(tx, tenantId, fileId)
    if (row === undefined) throw new Problem('not_found')
    return row
  }

  const moveTrash = async (tx: Tx, act: FileAct, deleted: boolean): Promise<FileRow> => {
    const { tenantId } = act.principal
    if (await trashFile(tx, tenantId, act.fileId, deleted)) {
      const { state } = await readFile(tx, tenantId, act.fileId)
      await searchIndex.hide(tx, act.fileId, deleted || state !== 'available')
      const data = { state: deleted ? 'deleted' : state }
      await insertFileOutbox(tx, { tenantId, fileId: act.fileId, type: 'file.state', data })
      await audit(tx, act, deleted ? 'file.delete' : 'file.restore')
    }
    return readFile(tx, tenantId, act.fileId)
  }

  return {
    get: (tenantId, fileId) => database.withTenant(tenantId, (tx) => readFile(tx, tenantId, fileId)),
    list: (filter) => database.withTenant(filter.tenantId, (tx) => listFiles(tx, filter)),
    update: (act, change) =>
      database.withTenant(act.principal.tenantId, async (tx) => {
        const { fileId } = act
        const { tenantId } = act.principal
        const current = await lockFile(tx, tenantId, fileId)
        if (current === undefined || current.deleted_at !== null) throw new Problem('not_found')
        const named = {
          name: change.name === undefined ? current.name : checkFileName(change.name),
          metadata:
            change.metadata === undefined
              ? current.metadata
              : checkMetadata(change.metadata, await metadataBytesMax(tx, tenantId)),
        }
        await renameFile(tx, { tenantId, fileId, ...named })
        await searchIndex.rename(tx, fileId, named)
        await audit(tx, act, 'file.update', { changed: Object.keys(change) })
        return readFile(tx, tenantId, fileId)
      }),
    async moveToTrash(act) {
      await database.withTenant(act.principal.tenantId, (tx) => moveTrash(tx, act, true))
    },
    restore: (act) => database.withTenant(act.principal.tenantId, (tx) => moveTrash(tx, act, false)),
    listVersions: (tenantId, versions) =>
      database.withTenant(tenantId, async (tx) => {
        await readFile(tx, tenantId, versions.fileId)
        return listVersions(tx, { tenantId, ...versions })
      }),
    getContent: (tenantId, content) =>
      database.withTenant(tenantId, async (tx) => {
        const row = await findFileContent(tx, { tenantId, ...content })
        if (row === undefined || row.deleted_at !== null) throw new Problem('not_found')
        requireCleared(row.state)
        return row
      }),
  }
}

const audit = (tx: Tx, act: FileAct, action: string, detail: Record<string, unknown> = {}): Promise<void> =>
  writeAudit(tx, {
    tenantId: act.principal.tenantId,
    actor: act.principal.actor,
    action,
    target: encodeId('file', act.fileId),
    detail,
    requestId: act.requestId,
  })
