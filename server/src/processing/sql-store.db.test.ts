import { describeEngineStore, type StoredTask } from './engine-store.contract.ts'
import { createEngineHouse } from './testing/engine-house.ts'

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
           array(select f ->> 'name' from jsonb_array_elements(input -> 'files') f) as files
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
