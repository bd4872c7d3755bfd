import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeId, type RowId } from '../../platform/ids.ts'
import { silentLog } from '../../platform/log.ts'
import type { RequestContext } from '../../platform/routes.ts'
import { createEngineHouse, done, type EngineHouse } from '../testing/engine-house.ts'
import { toDefinition } from '../testing/test-rows.ts'
import { controlRoutes } from './control-routes.ts'

let house: EngineHouse
let tenantId: RowId<'tenant'>
let context: RequestContext

beforeAll(async () => {
  house = await createEngineHouse()
  house.startWorker(20)
})
afterAll(() => house.close())
beforeEach(async () => {
  for (const name of Object.keys(house.work)) delete house.work[name]
  tenantId = await house.addTenant()
  await house.usePipeline(tenantId, toDefinition({ work: { uses: 'transform.copy' } }))
  const principal = { kind: 'system', tenantId, role: 'admin', operator: false, actor: 'system' } as const
  // As much of a request as these handlers look at.
  context = { principal, requestId: 'r', log: silentLog } as unknown as RequestContext
})

const routes = () => controlRoutes(house)
const none = undefined as never
const list = async (query: object) =>
  (await routes().listDeadLetters({ params: none, body: none, query }, context)) as {
    items: { task_id: string; job_id: string; problem: { code: string } }[]
  }
const task = (id: string) =>
  routes().getControlTask({ params: { control_task_id: id }, query: none, body: none }, context) as Promise<{
    status: string
    done: number
    skipped: number
    matched: number
    progress: number
  }>
const fail = () => ({ kind: 'reject', code: 'data_invalid', detail: 'Row 7 is cut.', durationMs: 1 }) as const
const idOf = (value: unknown): string => (value as { control_task_id: string }).control_task_id

async function submit(count: number) {
  const jobs = []
  for (let n = 0; n < count; n++) jobs.push(await house.submit(tenantId, await house.addFile(tenantId)))
  return jobs
}
const ended = async (count: number) => {
  const read = async () =>
    (
      await house.database.query<{ count: number }>(
        'select count(*)::int as count from job where tenant_id = $1 and finished_at is not null',
        [tenantId],
      )
    ).rows[0]?.count
  await house.until(read, (ended) => ended === count)
}

describe('dead letters', () => {
  it('are listed by what they have in common, and explained', async () => {
    house.work['work'] = fail
    await submit(3)
    await ended(3)
    expect((await list({})).items).toHaveLength(3)
    const { items } = await list({ code: 'data_invalid', processor: 'transform.copy', file_name: 'DATA' })
    expect(items).toHaveLength(3)
    expect((await list({ code: 'file_unreadable' })).items).toEqual([])
    const params = { task_id: items[0]!.task_id }
    const letter = await routes().getDeadLetter({ params, query: none, body: none }, context)
    expect(letter).toMatchObject({
      step: 'work',
      problem: { code: 'data_invalid', detail: 'Row 7 is cut.' },
      tried: [{ attempt: 1, outcome: 'dead', problem: { detail: 'Row 7 is cut.' } }],
    })
    await expect(
      routes().getDeadLetter(
        { params: { task_id: encodeId('task', 1 as never) }, query: none, body: none },
        {
          ...context,
          principal: { ...context.principal, tenantId: await house.addTenant() },
        },
      ),
    ).rejects.toMatchObject({ code: 'not_found' })
  })

  it('are replayed by filter in the background, each job once', async () => {
    let broken = true
    let runs = 0
    house.work['work'] = () => {
      runs += 1
      return broken ? fail() : done()
    }
    await submit(12)
    await ended(12)
    broken = false
    const id = idOf(
      await routes().replayDeadLetters({ params: none, query: none, body: { code: 'data_invalid' } }, context),
    )
    const control = await house.until(
      () => task(id),
      ({ status }) => status === 'completed',
    )
    expect(control).toMatchObject({ matched: 12, done: 12, skipped: 0, progress: 100 })
    await ended(12)
    expect(runs).toBe(24)
    expect((await list({})).items).toEqual([])
  })
})

it('live jobs are cancelled by filter in the background', async () => {
  await house.database.query('update tenant_schedule set running_max = 0 where tenant_id = $1', [tenantId])
  await submit(5)
  const id = idOf(await routes().cancelJobs({ params: none, query: none, body: { file_name: 'data' } }, context))
  const control = await house.until(
    () => task(id),
    ({ status }) => status === 'completed',
  )
  expect(control).toMatchObject({ matched: 5, done: 5 })
  await ended(5)
})

it('an order that cannot be worked off does not hold up the others', async () => {
  await house.database.query(
    `insert into control_task (tenant_id, kind, filter, matched_count, upto_id, cursor_id, created_by)
     values ($1, 'cancel_jobs', '{"created_after": "never"}', 1, 1, 1, 'system')`,
    [tenantId],
  )
  const id = idOf(await routes().cancelJobs({ params: none, query: none, body: {} }, context))
  await house.until(
    () => task(id),
    ({ status }) => status === 'completed',
  )
  await house.database.query('delete from control_task where tenant_id = $1', [tenantId])
})
