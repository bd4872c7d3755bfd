import type { Lane } from '@millrace/contract'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { SubmitJob, SubmittedJob } from './submission.ts'
import { createEngineHouse, type EngineHouse } from './testing/engine-house.ts'
import { toDefinition } from './testing/test-rows.ts'

let house: EngineHouse
let tenantId: RowId<'tenant'>

beforeAll(async () => {
  house = await createEngineHouse({ maintained: false })
})
afterAll(() => house.close())
beforeEach(async () => {
  tenantId = await house.addTenant()
  await house.database.query('update tenant_schedule set virtual_ms = array[100, 2000, 30000] where tenant_id = $1', [
    tenantId,
  ])
  const steps = {
    first: { uses: 'collect.a' },
    also: { uses: 'collect.a' },
    later: { uses: 'transform.b', needs: ['first'] },
  }
  await house.usePipeline(tenantId, { ...toDefinition(steps), accept: ['text/*'] })
})

async function orderOf(lane: Lane = 'normal', contentType = 'text/csv'): Promise<SubmitJob> {
  const fileId = await house.addFile(tenantId)
  const sha256 = 'b'.repeat(64)
  const file = { fileId, fileVersion: 1, fileName: 'data.csv', contentType, sizeBytes: 100, sha256, objectId: 'o' }
  return { ...file, tenantId, metadata: {}, depth: 0, lane, actor: 'system' }
}

const submitTogether = (orders: readonly SubmitJob[]) =>
  house.database.withTenant(tenantId, (tx) => house.submission.submitJobs(tx, orders))

/** Everything that a submission writes, without ids and times. */
async function writtenOf(job: SubmittedJob | Problem | undefined) {
  if (job === undefined || job instanceof Problem) throw new Error('it was submitted')
  const { rows } = await house.database.query(
    `select j.state, j.lane, j.steps_pending, j.virtual_ms, j.progress_percent, j.problem, j.created_by, j.parent_job_id,
       j.file_version, j.estimated_end_at is not null as estimated,
       (select json_agg(json_build_array(s.name, s.position, s.state, s.tasks_total, s.tasks_pending) order by s.position)
        from job_step s where s.job_id = j.id) as steps,
       (select json_agg(json_build_array(t.step, t.ordinal, t.lane, t.state, t.rank, t.cost_ms, t.attempts_max,
          t.input - 'files', t.tenant_id = j.tenant_id) order by t.step) from task t where t.job_id = j.id) as tasks,
       (select json_agg(json_build_array(b.type, b.data, b.file_id = j.file_id)) from outbox b where b.job_id = j.id) as events
     from job j where j.id = $1`,
    [job.jobRowId],
  )
  return rows[0]
}

describe('jobs that are submitted together', () => {
  it('are written as each would be by itself, in their own lanes', async () => {
    const lanes = ['normal', 'bulk', 'normal', 'interactive'] as const
    const orders = await Promise.all(lanes.map((lane) => orderOf(lane)))
    const together = await submitTogether(orders)
    for (const [index, order] of orders.entries()) {
      const alone = await house.database.withTenant(tenantId, (tx) => house.submission.submitJob(tx, order))
      expect(await writtenOf(together[index])).toEqual(await writtenOf(alone))
      expect(together[index]).toMatchObject({ pipeline: alone.pipeline })
    }
    expect(new Set(together.map((job) => (job as SubmittedJob).jobId)).size).toBe(4)
  })

  it('begin with the steps whose conditions hold for what was said of their file', async () => {
    const steps = {
      theirs: { uses: 'collect.a', if: 'file.metadata.owner == "them"' },
      nested: { uses: 'collect.a', if: 'file.depth == 2' },
    }
    await house.usePipeline(tenantId, toDefinition(steps))
    const orders = [
      { ...(await orderOf()), metadata: { owner: 'them' } },
      { ...(await orderOf()), metadata: { owner: 'us' }, depth: 2 },
    ]
    const begunOf = async (job: SubmittedJob | Problem | undefined) => {
      const written = await writtenOf(job)
      return (written?.['tasks'] as string[][] | undefined)?.map(([step]) => step)
    }
    const together = await submitTogether(orders)
    for (const [index, begun] of [['theirs'], ['nested']].entries()) {
      const alone = await house.database.withTenant(tenantId, (tx) => house.submission.submitJob(tx, orders[index]!))
      expect([await begunOf(together[index]), await begunOf(alone)]).toEqual([begun, begun])
    }
  })

  it('go on without those that no pipeline takes', async () => {
    const orders = [await orderOf(), await orderOf('normal', 'image/png'), await orderOf()]
    const [first, refused, last] = await submitTogether(orders)
    expect(refused).toMatchObject({ code: 'pipeline_not_accepted' })
    expect(await writtenOf(first)).toEqual(await writtenOf(last))
    const none = await submitTogether([orders[1]!])
    expect(none).toEqual([expect.any(Problem)])
  })
})
