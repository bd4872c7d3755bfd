import { expect, it } from 'vitest'
import { testDatabaseUrl } from '../testing/database.ts'
import { createEngineHouse } from '../processing/testing/engine-house.ts'
import { describeSchedulerStore } from './scheduler-store.contract.ts'
import { createSqlSchedulerStore } from './sql-scheduler-store.ts'
import { newJob, oneStepDefinition } from '../processing/testing/test-rows.ts'

describeSchedulerStore('the duties’ store over the database', async () => {
  const house = await createEngineHouse({ maintained: false })
  const { database, store } = house
  return {
    scheduler: createSqlSchedulerStore(database),
    engine: store,
    async setPool(pool, { paused, startsPerSecond }) {
      await database.query(
        `insert into pool_schedule (pool, paused, starts_per_second) values ($1, $2, $3)
         on conflict (pool) do update set paused = $2, starts_per_second = $3`,
        [pool, paused, startsPerSecond],
      )
    },
    async addTenant({ weight, runningMax, paused, startsPerSecond = null }) {
      const tenantId = await house.addTenant(weight)
      await database.query(
        'update tenant_schedule set running_max = $2, paused = $3, starts_per_second = $4 where tenant_id = $1',
        [tenantId, runningMax, paused, startsPerSecond],
      )
      return tenantId
    },
    async addJob({ tenantId, ...job }) {
      const fileId = await house.addFile(tenantId)
      const pipelineVersionId = await house.usePipeline(tenantId, oneStepDefinition)
      return store.transaction((tx) => tx.insertJob(newJob({ tenantId, fileId, pipelineVersionId }, job)))
    },
    async seeWorker(name, slots) {
      await database.query(
        `insert into worker (id, host, sandbox, slots, busy, started_at, last_seen_at) values ($1, '', '', $2, 0, now(), now())`,
        [name, slots],
      )
    },
    async passTime(ms) {
      const ago = `- $1 * interval '1 ms'`
      await database.query(`update task set lease_until = lease_until ${ago}, run_at = run_at ${ago}`, [ms])
      await database.query('update tenant_schedule set starts_from = starts_from - $1::float8 / 1000', [ms])
      await database.query(`update scheduler_lease set until = until ${ago}`, [ms])
      await database.query(`update job set cancel_requested_at = cancel_requested_at ${ago}`, [ms])
      await database.query(`update worker set last_seen_at = last_seen_at ${ago}`, [ms])
    },
    close: () => house.close(),
  }
})

// One session, as the embedded database has it, never meets another's lock.
it.skipIf(testDatabaseUrl() === undefined)(
  'the duties’ store ends no lease of what was claimed or taken back meanwhile',
  async () => {
    const house = await createEngineHouse({ maintained: false })
    const { database, store } = house
    try {
      const tenantId = await house.addTenant()
      const fileId = await house.addFile(tenantId)
      const pipelineVersionId = await house.usePipeline(tenantId, oneStepDefinition)
      const job = newJob({ tenantId, fileId, pipelineVersionId }, { lane: 1, tasksCount: 2 })
      const jobId = await store.transaction((tx) => tx.insertJob(job))
      await database.query(
        `update task set state = 'dispatched', lease_epoch = 1, lease_until = now() + interval '1 hour' where job_id = $1`,
        [jobId],
      )
      const expiring = await database.asSystem(async (tx) => {
        await tx.query(`update task set state = 'running' where job_id = $1 and ordinal = 0`, [jobId])
        await tx.query(`update task set state = 'queued', lease_until = null where job_id = $1 and ordinal = 1`, [
          jobId,
        ])
        const running = Promise.allSettled([createSqlSchedulerStore(database).expireLeases('dispatched')])
        const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
        await expect.poll(async () => (await database.query(waiting)).rowCount, { timeout: 20_000 }).toBe(1)
        return { running }
      })
      expect(await expiring.running).toEqual([{ status: 'fulfilled', value: 0 }])
      const { rows } = await database.query(
        'select state, lease_until > now() as held from task where job_id = $1 order by ordinal',
        [jobId],
      )
      expect(rows).toEqual([
        { state: 'running', held: true },
        { state: 'queued', held: null },
      ])
    } finally {
      await house.close()
    }
  },
)
