// All features over embedded parts in a temporary folder, without a gateway or workers: tests ask the handlers of the
// operations themselves, and put files into any state that they want.

import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { sealFile } from '../../files/seal.ts'
import { insertTestTenant } from '../../files/testing/catalogue.ts'
import { readConfig } from '../../platform/config.ts'
import { encodeId, type RowId } from '../../platform/ids.ts'
import { silentLog } from '../../platform/log.ts'
import type { RequestContext } from '../../platform/routes.ts'
import type { SealedObject } from '../../storage/vault.ts'
import { createFeatures } from '../features.ts'
import { openParts } from '../parts.ts'

export type FeaturesHouse = Awaited<ReturnType<typeof openFeaturesHouse>>

export interface JobOver {
  fileId: RowId<'file'>
  fileVersion?: number
  /** What its only step found. */
  result?: unknown
  foundText?: string
  outputs?: readonly { name: string; content: Buffer | string; contentType?: string; processor?: string }[]
}

export async function openFeaturesHouse() {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-features-'))
  const config = readConfig({ data: folder }, { LOG_LEVEL: 'silent' }, { cpusCount: 2, cwd: folder })
  const parts = await openParts(config)
  const features = await createFeatures(parts)
  const { database, vault } = parts
  let tenantId = 0

  const contextOf = (headers: Record<string, string> = {}, method = 'GET', tenant = tenantId): RequestContext => ({
    principal: { kind: 'system', tenantId: tenant, role: 'admin', operator: true, actor: 'system' },
    requestId: 'req_test',
    method,
    headers,
    body: Readable.from([]),
    signal: new AbortController().signal,
    clientAddress: '127.0.0.1',
    log: silentLog,
  })

  async function insertOne<Id extends number>(text: string, values: unknown[]): Promise<Id> {
    const { rows } = await database.query<{ id: Id }>(`${text} returning id`, values)
    // An insert that does not throw returns its row.
    return rows[0]!.id
  }

  const store = (content: Buffer | string, storeFolder = 'files'): Promise<SealedObject> =>
    vault.write({
      tenantId,
      content: Readable.from([Buffer.from(content)]),
      folder: storeFolder,
      sizeBytesMax: 1e9,
    })

  return {
    folder,
    parts,
    features,
    database,
    vault,
    contextOf,
    store,
    insertOne,
    tenantId: () => tenantId,

    async newTenant(): Promise<number> {
      tenantId = await insertTestTenant(database)
      return tenantId
    },

    /** A file that its checks have cleared, unless another state is named. */
    async addFile(file: { name?: string; content?: Buffer | string; contentType?: string; state?: string } = {}) {
      const object = await store(file.content ?? 'a,b\n1,2\n')
      const { fileId } = await database.withTenant(tenantId, (tx) =>
        sealFile(tx, {
          tenantId,
          name: file.name ?? 'data.csv',
          contentType: file.contentType ?? 'text/csv',
          object,
          metadata: {},
          createdBy: 'system',
        }),
      )
      await database.query('update file set state = $2 where id = $1', [fileId, file.state ?? 'available'])
      return { fileId, file_id: encodeId('file', fileId) as string, object }
    },

    /** A job that has ended, with the rows that its only task would have left. */
    async addJob({ fileId, fileVersion = 1, result = null, foundText, outputs = [] }: JobOver) {
      const pipelineVersionId = await insertOne(
        `insert into pipeline_version (tenant_id, name, number, source, definition, created_by)
         select $1, 'test', coalesce(max(number), 0) + 1, '', '{"steps":{"step":{"uses":"text.extract","needs":[],"with":{}}}}', 'system'
         from pipeline_version where tenant_id = $1`,
        [tenantId],
      )
      const jobId = await insertOne<RowId<'job'>>(
        `insert into job (tenant_id, file_id, file_version, pipeline_version_id, state, steps_pending, created_by, finished_at)
         values ($1, $2, $3, $4, 'completed', 0, 'system', now())`,
        [tenantId, fileId, fileVersion, pipelineVersionId],
      )
      await database.query(
        `insert into job_step (job_id, name, tenant_id, position, state, tasks_total, finished_at)
         values ($1, 'step', $2, 0, 'succeeded', 1, now())`,
        [jobId, tenantId],
      )
      const taskId = await insertOne(
        `insert into task (tenant_id, job_id, step, state, rank, input, finished_at)
         values ($1, $2, 'step', 'succeeded', 0, '{"processor":"text.extract","files":[]}', now())`,
        [tenantId, jobId],
      )
      await database.query(
        `insert into task_result (task_id, tenant_id, job_id, step, ordinal, epoch, result, found_text, duration_ms)
         values ($1, $2, $3, 'step', 0, 1, $4, $5, 1)`,
        [taskId, tenantId, jobId, JSON.stringify(result), foundText ?? null],
      )
      const made = []
      for (const { name, content, contentType = 'text/plain', processor = 'text.extract' } of outputs) {
        const object = await store(content, `results/${jobId}/${taskId}/1`)
        await database.query(
          `insert into object (id, tenant_id, store_key, size_bytes, stored_bytes, sha256, manifest, wrapped_key, tenant_key_version)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
          [
            object.objectId,
            tenantId,
            object.storeKey,
            object.sizeBytes,
            object.storedBytes,
            object.sha256,
            JSON.stringify(object.manifest),
            object.wrappedKey,
            object.tenantKeyVersion,
          ],
        )
        const outputId = await insertOne<RowId<'output'>>(
          `insert into output (tenant_id, job_id, task_id, step, name, content_type, size_bytes, sha256, object_id, processor, processor_version)
           values ($1, $2, $3, 'step', $4, $5, $6, $7, $8, $9, 1)`,
          [tenantId, jobId, taskId, name, contentType, object.sizeBytes, object.sha256, object.objectId, processor],
        )
        made.push({ outputId, output_id: encodeId('output', outputId) as string, object })
      }
      return { jobId, job_id: encodeId('job', jobId) as string, taskId, outputs: made }
    },

    async close(): Promise<void> {
      await parts.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
