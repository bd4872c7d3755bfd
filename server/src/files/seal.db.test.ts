import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeId, type RowId } from '../platform/ids.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { sealFile, sealFileVersion, type SealFile } from './seal.ts'
import { insertTestTenant, makeObject, usageOf } from './testing/catalogue.ts'

let test: TestDatabase
beforeAll(async () => {
  test = await createTestDatabase()
})
afterAll(() => test.drop())

const newFile = (tenantId: number, sizeBytes?: number): SealFile => ({
  tenantId,
  name: '../“a”\r\n😀.csv',
  contentType: 'text/csv',
  object: makeObject(tenantId, sizeBytes),
  metadata: { Owner: 'Ann' },
  createdBy: 'system',
})

describe('sealing a file', () => {
  it('writes object, file, version, usage, event and audit together', async () => {
    const tenantId = await insertTestTenant(test.database)
    const file = newFile(tenantId, 1_000)
    const sealed = await test.database.withTenant(tenantId, (tx) => sealFile(tx, { ...file, requestId: 'req_1' }))
    expect(sealed.version).toBe(1)
    const { rows } = await test.database.query(
      `select f.name, f.state, f.metadata, f.version, v.number, v.object_id = f.object_id as same, o.size_bytes,
         b.type, b.data, a.action, a.target, a.request_id, a.detail ? 'name' as names
       from file f join file_version v on v.file_id = f.id join object o on o.id = f.object_id
       join outbox b on b.file_id = f.id join audit_event a on a.tenant_id = f.tenant_id where f.id = $1`,
      [sealed.fileId],
    )
    expect(rows).toEqual([
      {
        name: file.name,
        state: 'quarantined',
        metadata: { Owner: 'Ann' },
        version: 1,
        number: 1,
        same: true,
        size_bytes: 1_000,
        type: 'file.created',
        data: { version: 1, state: 'quarantined', size_bytes: 1_000, content_type: 'text/csv' },
        action: 'file.create',
        target: encodeId('file', sealed.fileId),
        request_id: 'req_1',
        names: false,
      },
    ])
    expect(await usageOf(test.database, tenantId)).toMatchObject({ files_count: 1, stored_bytes: 1_000 })
  })

  it('leaves nothing behind when its transaction fails', async () => {
    const tenantId = await insertTestTenant(test.database)
    const failing = test.database.withTenant(tenantId, async (tx) => {
      await sealFile(tx, newFile(tenantId))
      throw new Error('no job')
    })
    await expect(failing).rejects.toThrow('no job')
    const { rows } = await test.database.query(
      `select (select count(*) from object where tenant_id = $1) + (select count(*) from file where tenant_id = $1)
         + (select count(*) from outbox where tenant_id = $1) + (select count(*) from audit_event where tenant_id = $1) as count`,
      [tenantId],
    )
    expect(rows).toEqual([{ count: 0 }])
    expect(await usageOf(test.database, tenantId)).toMatchObject({ files_count: 0, stored_bytes: 0 })
  })

  it('keeps a tenant from writing into another', async () => {
    const [mine, theirs] = [await insertTestTenant(test.database), await insertTestTenant(test.database)]
    const foreign = test.database.withTenant(mine, (tx) => sealFile(tx, newFile(theirs)))
    await expect(foreign).rejects.toThrow(/row-level security/)
  })
})

describe('sealing a version', () => {
  it('follows the version before, quarantines the file again and forgets what steps had found', async () => {
    const tenantId = await insertTestTenant(test.database)
    const { fileId } = await test.database.withTenant(tenantId, (tx) => sealFile(tx, newFile(tenantId, 7)))
    await test.database.query(`update file set state = 'available', found = '{"check":1}' where id = $1`, [fileId])
    const object = makeObject(tenantId, 5)
    const sealed = await test.database.withTenant(tenantId, (tx) =>
      sealFileVersion(tx, { tenantId, fileId, contentType: 'application/json', object, createdBy: 'system' }),
    )
    expect(sealed).toEqual({ fileId, version: 2, name: newFile(tenantId).name, metadata: { Owner: 'Ann' } })
    const { rows } = await test.database.query(
      'select state, version, content_type, size_bytes, found, metadata from file where id = $1',
      [fileId],
    )
    expect(rows[0]).toEqual({
      state: 'quarantined',
      version: 2,
      content_type: 'application/json',
      size_bytes: 5,
      found: {},
      metadata: { Owner: 'Ann' },
    })
    expect(await usageOf(test.database, tenantId)).toMatchObject({ files_count: 1, stored_bytes: 12 })
  })

  it('gives versions that are sealed at once different numbers', async () => {
    const tenantId = await insertTestTenant(test.database)
    const { fileId } = await test.database.withTenant(tenantId, (tx) => sealFile(tx, newFile(tenantId)))
    const sealed = await Promise.all(
      Array.from({ length: 8 }, () =>
        test.database.withTenant(tenantId, (tx) =>
          sealFileVersion(tx, {
            tenantId,
            fileId,
            contentType: 'text/plain',
            object: makeObject(tenantId),
            createdBy: 'system',
          }),
        ),
      ),
    )
    expect(sealed.map(({ version }) => version).sort((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('refuses a file that is missing, foreign or in the trash', async () => {
    const [mine, theirs] = [await insertTestTenant(test.database), await insertTestTenant(test.database)]
    const { fileId } = await test.database.withTenant(theirs, (tx) => sealFile(tx, newFile(theirs)))
    const seal = (tenantId: number, id: RowId<'file'>) =>
      test.database.withTenant(tenantId, (tx) =>
        sealFileVersion(tx, {
          tenantId,
          fileId: id,
          contentType: 'text/plain',
          object: makeObject(tenantId),
          createdBy: 'system',
        }),
      )
    await expect(seal(mine, fileId)).rejects.toMatchObject({ code: 'not_found' })
    await test.database.query(`update file set deleted_at = now() where id = $1`, [fileId])
    await expect(seal(theirs, fileId)).rejects.toMatchObject({ code: 'not_found' })
  })
})
