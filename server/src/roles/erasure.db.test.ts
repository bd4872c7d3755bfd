// Erasing, lineage and shredding through the handlers that the composition root makes, on a real vault and disk store.

import { buffer } from 'node:stream/consumers'
import { operations, type ResponseOf } from '@millrace/contract'
import { Compile } from 'typebox/compile'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { sealFile, sealFileVersion } from '../files/seal.ts'
import { usageOf } from '../files/testing/catalogue.ts'
import { encodeId, type RowId } from '../platform/ids.ts'
import { createKeyRing } from '../storage/key-ring.ts'
import { createVault } from '../storage/encrypted-vault.ts'
import type { SealedObject } from '../storage/vault.ts'
import { openFeaturesHouse, type FeaturesHouse } from './testing/features-house.ts'
import { codeOf } from '../testing/problem-code.ts'

let house: FeaturesHouse
beforeAll(async () => {
  house = await openFeaturesHouse()
})
afterAll(() => house.close())
beforeEach(() => house.newTenant())

const none = { params: undefined, query: undefined, body: undefined } as const
const storedKeys = async () => (await house.parts.objectStore.list({ prefix: '', limit: 1_000 })).map(({ key }) => key)
const signal = new AbortController().signal
const erase = (file_id: string, query: { members?: boolean } = {}) =>
  house.features.apiRoutes.deleteFile(
    { ...none, params: { file_id }, query: { permanent: true, ...query } },
    house.contextOf(),
  )

/** Every row of every table in which the text stands. */
async function tablesWith(text: string): Promise<string[]> {
  const { rows } = await house.database.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`,
  )
  const found: string[] = []
  for (const { name } of rows) {
    const { rowCount } = await house.database.query(`select from "${name}" t where strpos(t::text, $1) > 0 limit 1`, [
      text,
    ])
    if (rowCount > 0) found.push(name)
  }
  return found.toSorted()
}

describe('a file that is erased', () => {
  async function furnish() {
    const file = await house.addFile({ name: 'Ann Example, salary.csv', content: 'first' })
    const tenantId = house.tenantId()
    const object = await house.store('second')
    await house.database.withTenant(tenantId, (tx) =>
      sealFileVersion(tx, { tenantId, fileId: file.fileId, contentType: 'text/csv', object, createdBy: 'system' }),
    )
    const job = await house.addJob({
      fileId: file.fileId,
      fileVersion: 2,
      result: { said: 'Ann Example' },
      foundText: 'Ann Example earns',
      outputs: [{ name: 'Ann Example.txt', content: 'Ann Example' }],
    })
    await house.features.engineStore.transaction((tx) =>
      tx.effects.indexFile({ tenantId, fileId: file.fileId, version: 2, jobId: job.jobId, found: undefined }),
    )
    return { ...file, ...job, second: object }
  }

  it('leaves no row, no byte, no key and no usage, and a trace in the audit that names nobody', async () => {
    const before = await storedKeys()
    const { file_id, fileId } = await furnish()
    expect(await tablesWith('Ann Example')).toEqual(['file', 'output', 'search_entry', 'task_result'])
    expect(await usageOf(house.database, house.tenantId())).toMatchObject({ files_count: 1, stored_bytes: 11 })
    await erase(file_id)
    expect(await tablesWith('Ann Example')).toEqual([])
    expect(await storedKeys()).toEqual(before)
    expect(await usageOf(house.database, house.tenantId())).toMatchObject({ files_count: 0, stored_bytes: 0 })
    const { rows } = await house.database.query(
      `select (select count(*) from object where tenant_id = $1) + (select count(*) from job where tenant_id = $1)
         + (select count(*) from task where tenant_id = $1) + (select count(*) from erased_object) as left,
         (select detail from audit_event where action = 'file.erase' and target = $2) as detail,
         (select data from outbox where type = 'file.state' and file_id = $3) as event`,
      [house.tenantId(), file_id, fileId],
    )
    expect(rows).toEqual([{ left: 0, detail: { versions: 2, outputs: 1, objects: 3 }, event: { state: 'erased' } }])
    expect(await codeOf(erase(file_id))).toBe('not_found')
  })

  it('is kept as long as a job over it is under way', async () => {
    const { file_id, jobId } = await furnish()
    await house.database.query(`update job set state = 'running', finished_at = null where id = $1`, [jobId])
    expect(await codeOf(erase(file_id))).toBe('job_not_ended')
    expect(await usageOf(house.database, house.tenantId())).toMatchObject({ files_count: 1, stored_bytes: 11 })
  })

  it('of another tenant is not there', async () => {
    const { file_id } = await furnish()
    await house.newTenant()
    expect(await codeOf(erase(file_id))).toBe('not_found')
  })

  it('keeps an object that another file shares', async () => {
    const { file_id, second } = await furnish()
    const other = await house.addFile()
    await house.database.query('update file_version set object_id = $2 where file_id = $1', [
      other.fileId,
      second.objectId,
    ])
    await erase(file_id)
    expect(String(await buffer(await house.vault.read(second)))).toBe('second')
  })

  it('is removed from the store later when the store did not let go of it', async () => {
    const { file_id, object } = await furnish()
    const spy = vi.spyOn(house.vault, 'remove').mockImplementation(async () => {}) // says that it did
    try {
      await erase(file_id)
    } finally {
      spy.mockRestore()
    }
    // Nobody can read it any more all the same: its key is gone.
    expect(await storedKeys()).toContain(object.storeKey)
    expect(await house.features.erasure.removeErased(10, signal)).toBe(0)
    await house.database.query(`update erased_object set erased_at = now() - interval '1 hour'`)
    expect(await house.features.erasure.removeErased(10, signal)).toBe(3)
    expect(await storedKeys()).not.toContain(object.storeKey)
  })

  it('takes the members of an archive with it where that is asked for, and only there', async () => {
    const tenantId = house.tenantId()
    const archive = await house.addFile({ name: 'a.zip' })
    const member = async (parentFileId: RowId<'file'>) => {
      const object = await house.store('member')
      const { fileId } = await house.database.withTenant(tenantId, (tx) =>
        sealFile(tx, {
          tenantId,
          name: 'm',
          contentType: 'x/y',
          object,
          metadata: {},
          createdBy: 'system',
          parentFileId,
        }),
      )
      return fileId
    }
    const inner = await member(archive.fileId)
    await member(inner)
    await erase(encodeId('file', inner))
    expect(await usageOf(house.database, tenantId)).toMatchObject({ files_count: 2 })
    await member(await member(archive.fileId))
    await erase(archive.file_id, { members: true })
    // What had lost its archive before is nobody's member.
    expect(await usageOf(house.database, tenantId)).toMatchObject({ files_count: 1, stored_bytes: 6 })
  })
})

it('the trash is emptied after the days that the tenant keeps it', async () => {
  const [old, young] = [await house.addFile(), await house.addFile()]
  const trash = (fileId: number, days: number) =>
    house.database.query(`update file set deleted_at = now() - $2 * interval '1 day' where id = $1`, [fileId, days])
  await trash(old.fileId, 29)
  await trash(young.fileId, 5)
  const { erasure } = house.features
  expect(await erasure.eraseOverdue(10, signal)).toBe(0)
  await trash(old.fileId, 31)
  expect(await erasure.eraseOverdue(10, signal)).toBe(1)
  await house.database.query(`update tenant set limits = '{"trash_kept_days": 4}' where id = $1`, [house.tenantId()])
  expect(await erasure.eraseOverdue(10, signal)).toBe(1)
  expect(await usageOf(house.database, house.tenantId())).toMatchObject({ files_count: 0, stored_bytes: 0 })
})

it('lineage tells what was made from what, by which version of a processor, back and forth', async () => {
  const tenantId = house.tenantId()
  const archive = await house.addFile({ name: 'a.zip' })
  const unpacking = await house.addJob({ fileId: archive.fileId })
  const object = await house.store('member')
  const made = { job_id: unpacking.jobId, step: 'unpack', processor: 'archive.extract', processor_version: 3 }
  const { fileId } = await house.database.withTenant(tenantId, (tx) =>
    sealFile(tx, {
      tenantId,
      name: 'm',
      contentType: 'x/y',
      object,
      metadata: {},
      createdBy: 'system',
      parentFileId: archive.fileId,
      made,
    }),
  )
  const job = await house.addJob({
    fileId,
    outputs: [
      { name: 'page', content: 'p' },
      { name: 'text', content: 't' },
    ],
  })
  const [page, text] = job.outputs
  const link = (outputId: number, from: string) =>
    house.database.query('update output set made_from = array[$2] where id = $1', [outputId, from])
  await link(page!.outputId, object.objectId)
  await link(text!.outputId, page!.object.objectId)
  const lineageOf = async (file_id: string) =>
    (await house.features.apiRoutes.getFileLineage(
      { ...none, params: { file_id } },
      house.contextOf(),
    )) as ResponseOf<'getFileLineage'>
  const lineage = await lineageOf(encodeId('file', fileId))
  expect(Compile(operations.getFileLineage.response).Check(lineage)).toBe(true)
  const versionOf = async (id: number) => {
    const { rows } = await house.database.query<{ id: RowId<'version'> }>(
      'select id from file_version where file_id = $1',
      [id],
    )
    return encodeId('version', rows[0]!.id)
  }
  const madeBy = { job_id: job.job_id, step: 'step', processor: 'text.extract', processor_version: 1 }
  const memberEdge = {
    from: await versionOf(archive.fileId),
    to: encodeId('file', fileId),
    kind: 'member',
    made_by: { ...made, job_id: unpacking.job_id },
  }
  expect(lineage.edges).toEqual([
    memberEdge,
    { from: encodeId('file', fileId), to: await versionOf(fileId), kind: 'version', made_by: null },
    { from: await versionOf(fileId), to: page!.output_id, kind: 'output', made_by: madeBy },
    { from: page!.output_id, to: text!.output_id, kind: 'output', made_by: madeBy },
  ])
  expect((await lineageOf(archive.file_id)).edges).toContainEqual(memberEdge)
  expect(await codeOf(lineageOf('nonsense'))).toBe('not_found')
})

describe('shredding', () => {
  /** The same database and store, as another process has them. */
  const elsewhere = (nowMs: () => number) => {
    const { database, masterKey, objectStore, ids, log } = house.parts
    const clock = { ...house.parts.clock, monotonicMs: nowMs }
    return createVault({ store: objectStore, keyRing: createKeyRing({ database, masterKey, clock }), ids, log })
  }
  const readsOf = (object: SealedObject) => codeOf(house.vault.read(object).then(buffer))

  it('a tenant’s keys ends every read at once here, within a second elsewhere, and every write', async () => {
    const { file_id, object } = await house.addFile()
    let nowMs = 0
    const other = elsewhere(() => nowMs)
    await buffer(await other.read(object))
    const tenant_id = encodeId('tenant', house.tenantId() as RowId<'tenant'>)
    const shred = (confirm: string) =>
      house.features.apiRoutes.shredTenantKeys({ ...none, params: { tenant_id }, body: { confirm } }, house.contextOf())
    expect(await codeOf(shred('yes'))).toBe('invalid_request')
    await shred(tenant_id)
    expect(await readsOf(object)).toBe('key_destroyed')
    const content = house.features.apiRoutes.getFileContent(
      { ...none, params: { file_id }, query: {} },
      house.contextOf(),
    )
    expect(await codeOf(content)).toBe('key_destroyed')
    nowMs = 1_000
    expect(await codeOf(other.read(object))).toBe('key_destroyed')
    expect(await codeOf(house.store('more'))).toBe('key_destroyed')
  })

  /** A file with what a step has found and told of its content, in the index too. */
  async function addFound(): Promise<{ fileId: RowId<'file'>; object: SealedObject }> {
    const { fileId, object } = await house.addFile()
    const { jobId } = await house.addJob({ fileId, result: { preview: 'canary' }, foundText: 'canary in the text' })
    const found = { title: 'canary' }
    await house.features.engineStore.transaction(async (tx) => {
      await tx.effects.addFound({ fileId, version: 1, step: 'step', found })
      await tx.effects.indexFile({ tenantId: house.tenantId(), fileId, version: 1, jobId, found })
    })
    return { fileId, object }
  }
  /** Rows of each table in which the word stands, by file. */
  const canaries = async (fileId: RowId<'file'>): Promise<number[]> => {
    const { rows } = await house.database.query<{ count: number }>(
      `select (select count(*)::int from search_entry where file_id = $1 and search_entry::text like '%canary%') as count
       union all select (select count(*)::int from file where id = $1 and found::text like '%canary%')
       union all select (select count(*)::int from task_result r join job j on j.id = r.job_id
         where j.file_id = $1 and r::text like '%canary%')`,
      [fileId],
    )
    return rows.map(({ count }) => count)
  }

  it('deletes what steps have found in the bytes, of an object and of a tenant, and of no other', async () => {
    const [one, two] = [await addFound(), await addFound()]
    expect(await canaries(one.fileId)).toEqual([1, 1, 1])
    await house.features.shredding.shredObject({ actor: 'system' }, one.object.objectId)
    expect([await canaries(one.fileId), await canaries(two.fileId)]).toEqual([
      [0, 0, 0],
      [1, 1, 1],
    ])
    const tenantId = house.tenantId() as RowId<'tenant'>
    await house.newTenant()
    const theirs = await addFound()
    await house.features.shredding.shredTenant({ actor: 'system' }, tenantId)
    expect([await canaries(two.fileId), await canaries(theirs.fileId)]).toEqual([
      [0, 0, 0],
      [1, 1, 1],
    ])
  })

  it('one object’s key ends its reads at once everywhere, and touches no other', async () => {
    const [one, two] = [await house.addFile(), await house.addFile()]
    await house.features.shredding.shredObject({ actor: 'system' }, one.object.objectId)
    const read = async ({ file_id }: { file_id: string }) => {
      const answer = await house.features.apiRoutes.getFileContent(
        { ...none, params: { file_id }, query: {} },
        house.contextOf(),
      )
      return answer
    }
    expect(await codeOf(read(one))).toBe('key_destroyed')
    expect(await codeOf(read(two))).toBe('none')
    expect(await codeOf(house.features.shredding.shredObject({ actor: 'system' }, 'f'.repeat(32)))).toBe('not_found')
  })
})
