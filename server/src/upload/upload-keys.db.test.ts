// A rotation reaches every key that an upload or an import holds; one that has ended holds none.

import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { systemIds } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { createVault } from '../storage/encrypted-vault.ts'
import { createKeyRing } from '../storage/key-ring.ts'
import { rewrapKeys } from '../storage/key-rotation.ts'
import { createMasterKey } from '../storage/master-key.ts'
import { createTenantSecrets } from '../storage/tenant-secret.ts'
import { createMemoryStore } from '../storage/testing/memory-store.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { findSource, insertSource } from './import/import-source.sql.ts'
import { newTenant } from './testing/upload-house.ts'
import { uploadKeyHolders } from './upload-keys.sql.ts'
import { draftOf, endSession, findSession, insertSession, keyOf } from './upload-session.sql.ts'

let test: TestDatabase
beforeAll(async () => void (test = await createTestDatabase()))
afterAll(() => test.drop())

it('wraps what is being received, and credentials of imports and their sources, under the newest key', async () => {
  const { database } = test
  const keyRing = createKeyRing({ database, masterKey: createMasterKey(Buffer.alloc(32, 1)), clock: systemClock })
  const vault = createVault({ store: createMemoryStore(), keyRing, ids: systemIds, log: silentLog })
  const secrets = createTenantSecrets({ keyRing, ids: systemIds })
  const tenantId = await newTenant(database)
  const begin = async () => {
    const draft = await vault.createDraft({ tenantId, folder: 'files' })
    const source = {
      kind: 's3',
      shown: 's3://b',
      named: true,
      secret: await secrets.seal(tenantId, { key: 'of import' }),
    }
    const session = await insertSession(database, {
      tenantId,
      kind: 'import',
      name: 'n',
      fileId: null,
      fields: {},
      sizeBytes: null,
      partSizeBytes: null,
      tusMetadata: null,
      concat: null,
      concatSources: null,
      reservationId: null,
      requestId: 'r',
      createdBy: 'system',
      lifetimeMs: 60_000,
      openCountMax: 10,
      draft,
      source,
    })
    return session!
  }
  const open = await begin()
  const ended = await begin()
  const part = await vault.writePart(draftOf(open), {
    number: 1,
    content: Readable.from([Buffer.from('a part')]),
    sizeBytesMax: 100,
  })
  const source = await insertSource(database, {
    tenantId,
    kind: 's3',
    name: 's',
    config: { shown: 's3://b' },
    fields: {},
    intervalSeconds: null,
    createdBy: 'system',
    countMax: 10,
    secret: await secrets.seal(tenantId, { key: 'of source' }),
  })
  await endSession(database, { ...keyOf(ended), state: 'aborted', problem: null, epoch: undefined })
  const { wrapped_key: keyOfEnded, source: sourceOfEnded } = (await findSession(database, tenantId, ended.id))!
  expect([keyOfEnded.length, sourceOfEnded]).toEqual([0, { kind: 's3', shown: 's3://b', named: true }])

  await keyRing.rotateTenantKey(tenantId)
  const { signal } = new AbortController()
  const rewrap = () =>
    Promise.all(uploadKeyHolders.map((holder) => rewrapKeys({ database, keyRing, tenantId, holder, signal })))
  expect(await rewrap()).toEqual(uploadKeyHolders.map(() => ({ count: 1, damagedCount: 0 })))
  expect(await rewrap()).toEqual(uploadKeyHolders.map(() => ({ count: 0, damagedCount: 0 })))

  const session = (await findSession(database, tenantId, open.id))!
  expect(session).toMatchObject({
    tenant_key_version: 2,
    source: { shown: 's3://b', secret: { tenant_key_version: 2 } },
  })
  expect(String(Buffer.concat((await Array.fromAsync(vault.readParts(draftOf(session), [part]))).flat()))).toBe(
    'a part',
  )
  const object = await vault.assemble(draftOf(session), [part])
  expect(String(await buffer(await vault.read(object)))).toBe('a part')
  expect(await secrets.open(tenantId, (session.source as { secret: unknown }).secret)).toEqual({ key: 'of import' })
  const { secret } = (await findSource(database, { tenantId, id: source!.id }))!
  expect(secret).toMatchObject({ tenant_key_version: 2 })
  expect(await secrets.open(tenantId, secret)).toEqual({ key: 'of source' })
})

it('lets no ended upload keep a key, whoever ends it', async () => {
  const tenantId = await newTenant(test.database)
  await expect(
    test.database.query(
      `insert into upload_session (tenant_id, kind, state, name, object_id, store_key, wrapped_key, tenant_key_version, created_by, expires_at, ended_at)
       values ($1, 'tus', 'aborted', 'n', 'o', 's', 'key', 1, 'system', now(), now())`,
      [tenantId],
    ),
  ).rejects.toThrow('upload_session_key')
})
