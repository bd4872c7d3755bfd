// Finding that an old key wraps nothing any more must not cost a look at all objects of its tenant. On a real server only:
// the embedded database does not tell its plans.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, testDatabaseUrl, type TestDatabase } from '../testing/database.ts'
import { createPlanReader, type PlanReader } from '../testing/plans.ts'
import { objectKeyHolder } from './object.sql.ts'

const tenantId = 1
/** All under the newest key, but for a few that were shredded under the old one. */
const load = `
  alter table object set (autovacuum_enabled = off);
  insert into tenant (id, name) values (1, 'tenant');
  insert into tenant_key (tenant_id, version, wrapped) values (1, 1, 'old'), (1, 2, 'new');
  insert into object (id, tenant_id, store_key, size_bytes, stored_bytes, sha256, manifest, wrapped_key, tenant_key_version)
    select lpad(to_hex(n), 32, '0'), 1, 'k', 1, 1, repeat('a', 64), '{}', case when n % 1000 = 0 then '' else 'key' end::bytea,
      case when n % 1000 = 0 then 1 else 2 end from generate_series(1, 100000) n;
`

describe.skipIf(testDatabaseUrl() === undefined)('over a hundred thousand objects', () => {
  let test: TestDatabase
  let plans: PlanReader
  beforeAll(async () => {
    test = await createTestDatabase()
    await test.database.script(load)
    // What createTestDatabase answers on a server, and only there this runs.
    plans = await createPlanReader(test.url!)
  }, 60_000)
  afterAll(async () => {
    await plans?.close()
    await test?.drop()
  })

  const work = [
    [
      'a page of what an old key wraps',
      () => objectKeyHolder.listStale(plans.sql, { tenantId, after: '', limit: 1_000 }),
    ],
    ['whether it still wraps something', () => objectKeyHolder.isUsed(plans.sql, { tenantId, version: 1 })],
  ] as const

  it.each(work)('%s is found by the index of keys alone', async (_, ask) => {
    for (const statistics of ['', 'analyze']) {
      await test.database.script(statistics)
      const { scans, rowsMax } = await plans.read(ask)
      expect(scans.filter((scan) => scan.startsWith('object '))).toEqual(['object by object_key'])
      expect(rowsMax).toBeLessThan(10)
    }
  })
})
