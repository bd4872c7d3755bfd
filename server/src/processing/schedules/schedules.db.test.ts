import type { ScheduleOrder } from '@millrace/contract'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../platform/clock.ts'
import { silentLog } from '../../platform/log.ts'
import { encodeId, type RowId } from '../../platform/ids.ts'
import type { RequestContext } from '../../platform/routes.ts'
import { createEngineHouse, type EngineHouse } from '../testing/engine-house.ts'
import { parseCron } from './cron.ts'
import { scheduleRoutes } from './schedule-routes.ts'
import { chooseTick, createScheduleRunner, type ScheduleRunner } from './schedule-runner.ts'
import { findSchedule, insertSchedule, type ScheduleFields } from './schedule.sql.ts'

let house: EngineHouse
let tenantId: RowId<'tenant'>
let runner: ScheduleRunner
let clock: Clock
let now = new Date('2026-03-01T12:00:00Z')

beforeAll(async () => {
  house = await createEngineHouse({ maintained: false })
  clock = { now: () => now, monotonicMs: () => 0, sleep: async () => undefined }
  const { database, batches, wake } = house
  runner = createScheduleRunner({ database, batches, clock, wake, log: silentLog })
})
afterAll(() => house.close())
beforeEach(async () => {
  tenantId = await house.addTenant()
})

const hourly = {
  cron: '0 * * * *',
  time_zone: 'UTC',
  overlap: false,
  batch: { query: {} },
  import_source_id: null,
  state: 'active',
} as const
const add = (fields: Partial<ScheduleFields>) =>
  house.database.withTenant(tenantId, (tx) =>
    insertSchedule(tx, tenantId, 'system', {
      ...hourly,
      name: 's',
      missed_ticks: 'skip',
      next_tick_at: new Date('2026-03-01T12:00:00Z'),
      ...fields,
    }),
  )
const fireAt = async (time: string): Promise<void> => {
  now = new Date(time)
  await runner.fire(new AbortController().signal)
}
const ticks = async (id: number) =>
  (
    await house.database.query<{ outcome: string; tick_at: Date }>(
      'select outcome, tick_at from schedule_tick where schedule_id = $1 order by tick_at',
      [id],
    )
  ).rows.map(({ outcome, tick_at: at }) => `${at.toISOString().slice(5, 16)} ${outcome}`)
const endBatches = () =>
  house.database.query(
    `update batch set state = 'completed', planned_at = now(), finished_at = now() where finished_at is null`,
  )

describe('a schedule', () => {
  it('fires each tick once, however many look', async () => {
    const id = await add({})
    now = new Date('2026-03-01T12:00:01Z')
    const { signal } = new AbortController()
    await Promise.all([runner.fire(signal), runner.fire(signal), runner.fire(signal)])
    expect(await ticks(id)).toEqual(['03-01T12:00 started'])
    const row = await house.database.withTenant(tenantId, (tx) => findSchedule(tx, tenantId, id))
    expect(row).toMatchObject({ next_tick_at: new Date('2026-03-01T13:00:00Z'), last_outcome: 'started' })
    await endBatches()
  })

  it('starts nothing while its last batch runs, unless it may overlap', async () => {
    const [alone, together] = [await add({}), await add({ overlap: true })]
    await fireAt('2026-03-01T12:00:01Z')
    await fireAt('2026-03-01T13:00:01Z')
    expect(await ticks(alone)).toEqual(['03-01T12:00 started', '03-01T13:00 skipped_overlap'])
    expect(await ticks(together)).toEqual(['03-01T12:00 started', '03-01T13:00 started'])
    await endBatches()
  })

  it('deals with missed ticks as it is told', async () => {
    const [skip, once, all] = [await add({}), await add({ missed_ticks: 'once' }), await add({ missed_ticks: 'all' })]
    for (let round = 0; round < 5; round++) {
      await fireAt('2026-03-01T14:30:00Z')
      await endBatches()
    }
    expect(await ticks(skip)).toEqual(['03-01T14:00 skipped_missed'])
    expect(await ticks(once)).toEqual(['03-01T14:00 started'])
    expect(await ticks(all)).toEqual(['03-01T12:00 started', '03-01T13:00 started', '03-01T14:00 started'])
  })

  it('tells why a tick started nothing', async () => {
    const id = await add({ batch: { query: {}, pipeline: 'gone' } })
    await fireAt('2026-03-01T12:00:01Z')
    const row = await house.database.withTenant(tenantId, (tx) => findSchedule(tx, tenantId, id))
    expect(row).toMatchObject({ last_outcome: 'failed', problem: { code: 'pipeline_unknown' } })
  })
})

describe('an order for a schedule', () => {
  const create = async (body: Partial<ScheduleOrder>) => {
    const routes = scheduleRoutes({ database: house.database, pipelines: { find: async () => undefined }, clock })
    const principal = { kind: 'system', tenantId, role: 'admin', operator: false, actor: 'system' } as const
    // As much of a request as this handler looks at.
    const context = { principal, requestId: 'r' } as unknown as RequestContext
    const order = { name: 's', cron: '@daily', ...body }
    return routes.createSchedule({ params: undefined, query: undefined, body: order }, context)
  }

  it.each<[string, Partial<ScheduleOrder>]>([
    ['cron_never_fires', { cron: '0 0 30 2 *', batch: { query: {} } }],
    ['cron_invalid', { cron: '61 * * * *', batch: { query: {} } }],
    ['cron_invalid', { time_zone: 'Mars/Base', batch: { query: {} } }],
    ['invalid_request', {}],
    ['invalid_request', { batch: { query: {} }, import_source_id: encodeId('import_source', 1 as never) }],
    ['invalid_request', { batch: { manifest: { format: 'csv', content: 'x' } } }],
    ['pipeline_unknown', { batch: { query: {}, pipeline: 'gone' } }],
    ['not_found', { import_source_id: encodeId('import_source', 999_999 as never) }],
    ['not_found', { import_source_id: 'nonsense' }],
  ])('is refused with %s: %j', async (code, body) => {
    await expect(create(body)).rejects.toMatchObject({ code })
  })

  it('is answered with its next run', async () => {
    now = new Date('2026-03-01T12:00:00Z')
    expect(await create({ batch: { query: {} }, time_zone: 'Asia/Tokyo' })).toMatchObject({
      next_run_at: '2026-03-01T15:00:00.000Z',
      import_source_id: null,
      missed_ticks: 'skip',
      overlap: false,
    })
  })
})

describe('a schedule of an import', () => {
  async function addSource() {
    const { rows } = await house.database.query<{ id: RowId<'import_source'> }>(
      `insert into import_source (tenant_id, kind, name, config, created_by) values ($1, 'folder', 'n', '{}', 'system') returning id`,
      [tenantId],
    )
    const [source] = rows
    return source!.id
  }
  const change = (id: number, assignments: string) =>
    house.database.query(`update import_source set ${assignments} where id = $1`, [id])
  const isDue = async (id: number) =>
    (await house.database.query('select from import_source where id = $1 and next_run_at <= now()', [id])).rowCount ===
    1

  it('has the source looked through, but not while it is', async () => {
    const source = await addSource()
    const id = await add({ batch: null, import_source_id: source })
    await fireAt('2026-03-01T12:00:01Z')
    expect(await isDue(source)).toBe(true)
    await fireAt('2026-03-01T13:00:01Z')
    await change(source, `next_run_at = null, lease_until = now() + interval '1 hour'`)
    await fireAt('2026-03-01T14:00:01Z')
    await change(source, 'lease_until = null')
    await fireAt('2026-03-01T15:00:01Z')
    expect(await ticks(id)).toEqual([
      '03-01T12:00 started',
      '03-01T13:00 skipped_overlap',
      '03-01T14:00 skipped_overlap',
      '03-01T15:00 started',
    ])
  })

  it('tells that the source is paused or gone', async () => {
    const source = await addSource()
    const id = await add({ batch: null, import_source_id: source })
    const read = () => house.database.withTenant(tenantId, (tx) => findSchedule(tx, tenantId, id))
    await change(source, `state = 'paused'`)
    await fireAt('2026-03-01T12:00:01Z')
    expect(await read()).toMatchObject({ last_outcome: 'failed', problem: { code: 'conflict' } })
    await house.database.query('delete from import_source where id = $1', [source])
    await fireAt('2026-03-01T13:00:01Z')
    expect(await read()).toMatchObject({ last_outcome: 'failed', problem: { code: 'not_found' } })
  })
})

describe('many schedules', () => {
  it('fire although more than a page of others wait for their batches', async () => {
    const waiting = []
    for (let n = 0; n < 101; n++)
      waiting.push(await add({ missed_ticks: 'all', next_tick_at: new Date('2026-03-01T11:00:00Z') }))
    await house.database.query(
      `insert into batch (tenant_id, name, lane, source, concurrency, schedule_id, created_by)
       select $1, 'b', 2, '{"kind": "lines"}', 1, id, 'system' from unnest($2::bigint[]) id`,
      [tenantId, waiting],
    )
    tenantId = await house.addTenant()
    const id = await add({})
    await fireAt('2026-03-01T12:00:01Z')
    expect(await ticks(id)).toEqual(['03-01T12:00 started'])
    expect(await ticks(waiting[0]!)).toEqual([])
    await house.database.query('delete from batch where schedule_id = any($1::bigint[])', [waiting])
    await house.database.query('delete from schedule where id = any($1::bigint[])', [waiting])
    await endBatches()
  })

  it('give a tick up that cannot be started, and go on with the next', async () => {
    const id = await add({ missed_ticks: 'once', batch: { query: { created_after: 'never' } } })
    await fireAt('2026-03-01T12:00:30Z')
    expect(await ticks(id)).toEqual([])
    await fireAt('2026-03-01T12:02:00Z')
    expect(await ticks(id)).toEqual(['03-01T12:00 failed'])
    const row = await house.database.withTenant(tenantId, (tx) => findSchedule(tx, tenantId, id))
    expect(row).toMatchObject({ problem: { code: 'internal' }, next_tick_at: new Date('2026-03-01T13:00:00Z') })
  })
})

describe('a cron expression', () => {
  it('is read in its time zone', () => {
    const times = parseCron('30 2 * * *', 'Europe/Berlin')
    expect(times.next(new Date('2026-01-10T00:00:00Z'))?.toISOString()).toBe('2026-01-10T01:30:00.000Z')
    expect(times.next(new Date('2026-07-10T00:00:00Z'))?.toISOString()).toBe('2026-07-10T00:30:00.000Z')
  })

  const between = (cron: string, timeZone: string, from: string, to: string): string[] => {
    const times = parseCron(cron, timeZone)
    const found: string[] = []
    for (let at = times.next(new Date(from)); at !== undefined && at <= new Date(to); at = times.next(at))
      found.push(at.toISOString().slice(11, 16))
    return found
  }

  it.each<[string, string, string, string[]]>([
    ['30 2 * * *', 'Europe/Berlin', '2026-03-29', ['01:30']],
    ['30 2 * * *', 'Europe/Berlin', '2026-10-25', ['00:30']],
    ['0 2,3 * * *', 'Europe/Berlin', '2026-10-25', ['00:00', '02:00']],
    ['0 0-4 * * *', 'America/New_York', '2026-11-01', ['04:00', '05:00', '07:00', '08:00', '09:00']],
  ])('%s in %s fires once on %s, when clocks are put forward or back', (cron, timeZone, day, times) => {
    const [from, to] = [`${day}T00:00:00Z`, `${day}T12:00:00Z`]
    const before = new Date(Date.parse(from) - 1)
    expect(between(cron, timeZone, before.toISOString(), to)).toEqual(times)
  })

  it.each(['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'UTC'])(
    'fires in each hour in %s, also when clocks are put back',
    (zone) => {
      for (const day of ['2026-10-25', '2026-11-01', '2026-03-08', '2026-03-29']) {
        const times = between('*/30 * * * *', zone, `${day}T00:15:00Z`, `${day}T10:00:00Z`)
        expect(times).toHaveLength(20)
        expect(between('@hourly', zone, `${day}T00:15:00Z`, `${day}T10:15:00Z`)).toHaveLength(10)
      }
    },
  )

  it('goes on within an hour that exists twice', () => {
    const row = { cron: '*/30 1-5 * * *', time_zone: 'Europe/Berlin', missed_ticks: 'once' as const }
    const { at, next } = chooseTick(
      { ...row, next_tick_at: new Date('2026-10-25T00:30:00Z') },
      new Date('2026-10-25T01:10:00Z'),
    )
    expect([at, next].map((time) => time?.toISOString().slice(11, 16))).toEqual(['00:30', '02:00'])
    const times = parseCron('30 2 * * *', 'Europe/Berlin')
    expect(times.next(new Date('2026-10-25T01:10:00Z'))?.toISOString()).toBe('2026-10-26T01:30:00.000Z')
  })

  it.each(['0 0 30 2 *', '0 0 31 4 *', '0 0 31 2,4,6,9,11 *'])('%s never fires', (cron) => {
    expect(parseCron(cron, 'UTC').next(new Date('2026-03-01T12:00:00Z'))).toBeUndefined()
  })

  it('is refused when it cannot be read', () => {
    for (const cron of ['', '* * * *', '* * * * * *', '61 * * * *', 'x * * * *', '@reboot'])
      expect(() => parseCron(cron, 'UTC'), cron).toThrow(expect.objectContaining({ code: 'cron_invalid' }))
    expect(() => parseCron('* * * * *', 'Mars/Base')).toThrow(expect.objectContaining({ code: 'cron_invalid' }))
  })

  it('passes over what is older than a week', () => {
    const row = { ...hourly, missed_ticks: 'all' as const, next_tick_at: new Date('2026-01-01T00:00:00Z') }
    const { at } = chooseTick(row, new Date('2026-03-01T12:30:00Z'))
    expect(at.toISOString()).toBe('2026-02-22T13:00:00.000Z')
  })
})
