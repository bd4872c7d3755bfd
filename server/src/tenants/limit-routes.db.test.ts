import { TenantUsage, type TenantLimits } from '@millrace/contract'
import { Compile } from 'typebox/compile'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { encodeId, type RowId } from '../platform/ids.ts'
import type { RequestContext } from '../platform/routes.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { limitRoutes } from './limit-routes.ts'
import { filesCountMaxDefault, readTenantLimits, storedBytesMaxDefault } from './limits.ts'
import { createQuota } from './quota.ts'
import { usageRoutes } from './usage-routes.ts'

let test: TestDatabase
let tenantId: RowId<'tenant'>
beforeAll(async () => void (test = await createTestDatabase()))
afterAll(() => test.drop())
beforeEach(async () => {
  const { rows } = await test.database.query<{ id: RowId<'tenant'> }>(
    `with t as (insert into tenant (name) values ('t') returning id)
     insert into tenant_usage (tenant_id) select id from t returning tenant_id as id`,
  )
  tenantId = rows[0]!.id
})

const nothing = { params: undefined, query: undefined, body: undefined }
const routes = () => limitRoutes({ database: test.database, trashKeptDaysDefault: 30 })
const context = { principal: { actor: 'user_op' }, requestId: 'req_1' } as unknown as RequestContext
const params = (id = tenantId) => ({ tenant_id: encodeId('tenant', id) as string })
const change = (body: object) =>
  routes().updateTenantLimits({ params: params(), query: undefined, body }, context) as Promise<TenantLimits>
const read = (tenant_id = params().tenant_id) =>
  routes().getTenantLimits({ params: { tenant_id }, query: undefined, body: undefined }, context)

it('tells what holds, and what of it was set', async () => {
  expect(await read()).toMatchObject({
    ...params(),
    stored_bytes_max: storedBytesMaxDefault,
    trash_kept_days: 30,
    jobs_kept_days: null,
    set: [],
  })
  expect(await change({ stored_bytes_max: 5_000, jobs_kept_days: 90 })).toMatchObject({
    stored_bytes_max: 5_000,
    files_count_max: filesCountMaxDefault,
    jobs_kept_days: 90,
    set: ['jobs_kept_days', 'stored_bytes_max'],
  })
})

it('changes what is given, leaves the rest, and goes back to the default', async () => {
  await change({ stored_bytes_max: 5_000, files_count_max: 0, trash_kept_days: 1 })
  expect(await change({ stored_bytes_max: null, trash_kept_days: 2 })).toMatchObject({
    stored_bytes_max: storedBytesMaxDefault,
    files_count_max: 0,
    trash_kept_days: 2,
    set: ['files_count_max', 'trash_kept_days'],
  })
  const { rows } = await test.database.query('select limits from tenant where id = $1', [tenantId])
  expect(rows).toEqual([{ limits: { files_count_max: 0, trash_kept_days: 2 } }])
})

it('is told to the tenant with what it has used and what is left, be the limit below that', async () => {
  const usage = async () => {
    const asked = { principal: { tenantId } } as unknown as RequestContext
    const answer = await usageRoutes({ database: test.database }).getUsage(nothing, asked)
    expect(Compile(TenantUsage).Check(answer)).toBe(true)
    return answer
  }
  await test.database.query(
    'update tenant_usage set files_count = 3, stored_bytes = 700, reserved_bytes = 200, reserved_files = 1 where tenant_id = $1',
    [tenantId],
  )
  await change({ stored_bytes_max: 1_000, files_count_max: 10 })
  expect(await usage()).toMatchObject({ stored_bytes: 700, reserved_bytes: 200, bytes_left: 100, files_left: 6 })
  await change({ stored_bytes_max: 500, files_count_max: 2 })
  expect(await usage()).toMatchObject({ stored_bytes_max: 500, bytes_left: 0, files_count: 3, files_left: 0 })
})

it('holds for the next one who asks for room', async () => {
  const quota = createQuota({ database: test.database })
  const reserve = () =>
    test.database.withTenant(tenantId, async (tx) =>
      quota.reserve(tx, tenantId, await readTenantLimits(tx, tenantId), { bytes: 1_000 }),
    )
  await reserve()
  await change({ stored_bytes_max: 1_999 })
  await expect(reserve()).rejects.toMatchObject({ code: 'quota_exceeded' })
  await change({ stored_bytes_max: 2_000 })
  await reserve()
})

it('leaves an audit event of who set what', async () => {
  await change({ file_size_bytes_max: 7, audit_kept_days: null })
  const { rows } = await test.database.query(
    `select actor, target, detail from audit_event where tenant_id = $1 and action = 'tenant.limits'`,
    [tenantId],
  )
  const detail = { file_size_bytes_max: 7, audit_kept_days: null }
  expect(rows).toEqual([{ actor: 'user_op', target: params().tenant_id, detail }])
})

it('knows nothing of a tenant that there is not, and changes nothing of one whose limits cannot be read', async () => {
  const none = encodeId('tenant', (tenantId + 1_000) as RowId<'tenant'>)
  for (const id of ['x', encodeId('job', 1 as RowId<'job'>), none])
    await expect(read(id)).rejects.toMatchObject({ code: 'not_found' })
  await test.database.query(`update tenant set limits = '{"files_count_max": "many"}' where id = $1`, [tenantId])
  await expect(change({ stored_bytes_max: 1 })).rejects.toMatchObject({ code: 'setting_invalid' })
  expect(await change({ files_count_max: 3 })).toMatchObject({ set: ['files_count_max'] })
})
