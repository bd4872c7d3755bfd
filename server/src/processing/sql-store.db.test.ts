import { expect, it } from 'vitest'
import { testDatabaseUrl } from '../testing/database.ts'
import { describeEngineStore, type StoredTask } from './engine-store.contract.ts'
import { createEngineHouse } from './testing/engine-house.ts'
import { toDefinition } from './testing/test-rows.ts'

describeEngineStore('the store over the database', async () => {
  // Nobody leads and nobody works: the suite moves tasks itself.
  const house = await createEngineHouse({ maintained: false })
  const { database, store } = house
  return {
    store,
    async addFile(definition) {
      const tenantId = await house.addTenant()
      const fileId = await house.addFile(tenantId)
      return { tenantId, fileId, pipelineVersionId: await house.usePipeline(tenantId, definition) }
    },
    async dispatch(taskIds) {
      const { rows } = await database.query<{ taskId: number; epoch: number }>(
        `update task set state = 'dispatched', lease_epoch = lease_epoch + 1, lease_until = now() + interval '30 s'
         where id = any($1::bigint[]) and state = 'queued' returning id as "taskId", lease_epoch as epoch`,
        [taskIds],
      )
      return rows.toSorted((a, b) => a.taskId - b.taskId)
    },
    async passTime(ms) {
      await database.query(
        `update task set lease_until = lease_until - $1 * interval '1 ms' where lease_until is not null`,
        [ms],
      )
    },
    async listTasks(jobId) {
      const { rows } = await database.query<StoredTask>(
        `select id, step, ordinal, state::text, attempt, lost_count as "lostCount", lease_epoch as epoch, rank,
           array(select f ->> 'name' from jsonb_array_elements(input_of(task) -> 'files') f) as files
         from task where job_id = $1 order by id`,
        [jobId],
      )
      return rows
    },
    async countResults(jobId) {
      return (await database.query('select from task_result where job_id = $1', [jobId])).rowCount
    },
    async listEvents(jobId) {
      const { rows } = await database.query<{ type: string }>('select type from outbox where job_id = $1 order by id', [
        jobId,
      ])
      return rows.map(({ type }) => type)
    },
    close: () => house.close(),
  }
})

it('tells whoever claims a task what its file was sent as, and nothing where nobody has said it', async () => {
  const house = await createEngineHouse({ maintained: false })
  const { database, store } = house
  const tenantId = await house.addTenant()
  await house.usePipeline(tenantId, toDefinition({ only: { uses: 'collect.x' } }))
  const fileId = await house.addFile(tenantId)
  const claim = async () => {
    const { jobRowId } = await house.submit(tenantId, fileId)
    const { rows } = await database.query<{ taskId: number; epoch: number }>(
      `update task set state = 'dispatched', lease_epoch = 1, lease_until = now() + interval '1 minute'
       where job_id = $1 returning id as "taskId", lease_epoch as epoch`,
      [jobRowId],
    )
    const [claimed] = await store.claimTasks({ fences: rows, leaseMs: 60_000, worker: 'worker_1' })
    return claimed?.file
  }
  expect(await claim()).not.toHaveProperty('declaredType')
  await database.query(`update file_version set declared_type = 'image/png' where file_id = $1`, [fileId])
  expect(await claim()).toMatchObject({ declaredType: 'image/png' })
  await house.close()
})

// The embedded database has one connection, and so no two that wait for each other.
it.skipIf(testDatabaseUrl() === undefined)(
  'claims again when its claim was the victim of a deadlock',
  async () => {
    const house = await createEngineHouse({ maintained: false })
    const { database, store } = house
    const tenantId = await house.addTenant()
    await house.usePipeline(tenantId, toDefinition({ only: { uses: 'collect.x' } }))
    const isWaiting = async (): Promise<boolean> =>
      (
        await database.query(`select from pg_locks l join pg_stat_activity a using (pid)
       where not l.granted and a.datname = current_database()`)
      ).rowCount > 0

    /** A claim has the task and waits for its step, whose holder asks for the task. Answers whether the claim was the victim. */
    async function attempt(): Promise<boolean> {
      const { jobRowId } = await house.submit(tenantId, await house.addFile(tenantId))
      const { rows } = await database.query<{ taskId: number; epoch: number }>(
        `update task set state = 'dispatched', lease_epoch = 1, lease_until = now() + interval '1 minute'
       where job_id = $1 returning id as "taskId", lease_epoch as epoch`,
        [jobRowId],
      )
      let claimed: ReturnType<typeof store.claimTasks> | undefined
      const wasVictim = await database
        .asSystem(async (tx) => {
          await tx.query('select from job_step where job_id = $1 for update', [jobRowId])
          claimed = store.claimTasks({ fences: rows, leaseMs: 60_000, worker: 'worker_1' })
          await house.until(isWaiting, (waits) => waits)
          await tx.query('update task set rank = rank where job_id = $1', [jobRowId]).catch(() => {
            throw new Error('The victim was the other one.')
          })
        })
        .then(
          () => true,
          () => false,
        )
      expect(await claimed).toMatchObject(rows)
      return wasVictim
    }

    // The server takes the one that has waited for a second, on a slow machine perhaps not the claim.
    let wasVictim = false
    for (let count = 0; count < 10 && !wasVictim; count++) wasVictim = await attempt()
    expect(wasVictim).toBe(true)
    await house.close()
  },
  60_000,
)
