import type { Lane } from '@millrace/contract'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { encodeId, type RowId } from '../../platform/ids.ts'
import type { RequestContext } from '../../platform/routes.ts'
import { createEngineHouse, type EngineHouse } from '../testing/engine-house.ts'
import { toDefinition } from '../testing/test-rows.ts'
import { shareRoutes } from './share-routes.ts'

let house: EngineHouse
let tenantId: RowId<'tenant'>
let fileId: RowId<'file'>

beforeAll(async () => {
  house = await createEngineHouse()
  house.startWorker()
})
afterAll(() => house.close())
beforeEach(async () => {
  tenantId = await house.addTenant()
  fileId = await house.addFile(tenantId)
  await house.usePipeline(tenantId, toDefinition({ only: { uses: 'collect.x' } }))
})

const routes = () => shareRoutes({ database: house.database, wake: house.wake })
const context = { principal: { actor: 'system' }, requestId: 'req_1' } as RequestContext
const params = () => ({ tenant_id: encodeId('tenant', tenantId) as string })
const changeTenant = (body: object) => routes().updateTenantShare({ params: params(), query: undefined, body }, context)
const changePool = (body: object) =>
  routes().updatePoolShare({ params: { pool: '0' }, query: undefined, body }, context)
const submit = (lane: Lane = 'normal') => house.submit(tenantId, fileId, lane)
const ended = (jobRowId: RowId<'job'>) =>
  house.until(
    () => house.read(tenantId, jobRowId),
    (job) => job.finished_at !== null,
  )
const startedCount = async (): Promise<number> =>
  (await house.database.query(`select from task where tenant_id = $1 and lease_epoch > 0`, [tenantId])).rowCount

it('changes what is given, leaves the rest, and leaves an audit event', async () => {
  expect(await changeTenant({ weight: 5, starts_per_second: 2.5 })).toEqual({
    ...params(),
    weight: 5,
    running_max: 1_000_000,
    starts_per_second: 2.5,
    paused: false,
  })
  expect(await changeTenant({ running_max: 7 })).toMatchObject({ weight: 5, running_max: 7, starts_per_second: 2.5 })
  expect(await changeTenant({ starts_per_second: null })).toMatchObject({ weight: 5, starts_per_second: null })
  const read = routes().getTenantShare({ params: params(), query: undefined, body: undefined }, context)
  expect(await read).toMatchObject({ weight: 5, running_max: 7, paused: false })
  const { rows } = await house.database.query<{ target: string }>(
    `select target from audit_event where tenant_id = $1 and action = 'tenant.share'`,
    [tenantId],
  )
  expect(rows).toEqual([1, 2, 3].map(() => ({ target: params().tenant_id })))
})

it('knows nothing of a tenant or a pool that there is not', async () => {
  for (const tenant_id of [
    'x',
    encodeId('job', 1 as RowId<'job'>),
    encodeId('tenant', (tenantId + 1_000) as RowId<'tenant'>),
  ])
    await expect(
      routes().updateTenantShare({ params: { tenant_id }, query: undefined, body: {} }, context),
    ).rejects.toMatchObject({ code: 'not_found' })
  for (const pool of ['x', '-1', '40000', ''])
    await expect(
      routes().getPoolShare({ params: { pool }, query: undefined, body: undefined }, context),
    ).rejects.toMatchObject({ code: 'not_found' })
})

it('holds a tenant and lets it go while the leader goes on', async () => {
  await changeTenant({ paused: true })
  const { jobRowId } = await submit()
  // Another tenant's job, that came later, has passed by: the leader has looked.
  const pausedTenant = tenantId
  const other = await house.addTenant()
  const otherFile = await house.addFile(other)
  await house.usePipeline(other, toDefinition({ only: { uses: 'collect.x' } }))
  const passing = await house.submit(other, otherFile)
  await house.until(
    () => house.read(other, passing.jobRowId),
    (job) => job.status === 'completed',
  )
  tenantId = pausedTenant
  expect(await startedCount()).toBe(0)
  await changeTenant({ paused: false })
  expect(await ended(jobRowId)).toMatchObject({ status: 'completed' })
})

it('holds a whole pool and lets it go', async () => {
  expect(await changePool({ paused: true })).toEqual({ pool: 0, paused: true, starts_per_second: null })
  const { jobRowId } = await submit()
  expect(await changePool({ paused: false, starts_per_second: 50 })).toMatchObject({ starts_per_second: 50 })
  expect(await ended(jobRowId)).toMatchObject({ status: 'completed' })
  expect(await changePool({ starts_per_second: null })).toMatchObject({ starts_per_second: null })
})

it('starts no more than the rate allows, and goes on at once when it is lifted', async () => {
  await changeTenant({ starts_per_second: 0.001 })
  const jobs = [await submit(), await submit('bulk'), await submit('interactive')]
  await house.until(startedCount, (count) => count === 1)
  await changeTenant({ starts_per_second: null })
  for (const { jobRowId } of jobs) expect(await ended(jobRowId)).toMatchObject({ status: 'completed' })
})
