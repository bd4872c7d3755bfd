// A few faults of the catalogue on the platform split by role, and the proof that the checker sees what it is there to
// see. The whole catalogue, and pairs of them, are `npm run chaos`.

import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runExperiment } from '../chaos/experiment.ts'
import { planNamed } from '../chaos/plan.ts'
import { openRig, type Rig } from '../chaos/rig.ts'
import { s3Client } from '../harness/servers/s3.ts'
import { shape } from './house.ts'

const seed = 20_261
/** It starts servers of its own, of the makes that the suite runs on. */
const hasSeaweedfs = process.env['MILLRACE_TEST_S3_SEAWEEDFS'] !== undefined
let rig: Rig

describe.runIf(shape === 'split')('faults', () => {
  beforeAll(async () => {
    rig = await openRig(hasSeaweedfs ? { postgres: '15', store: 'seaweedfs' } : { postgres: '18', store: 'versitygw' })
  }, 240_000)
  afterAll(() => rig?.close(), 120_000)

  const experimentOf = (names: string) => {
    const round = planNamed(names)
    if (round === undefined) throw new Error(`there is no fault ${names}`)
    return { rounds: [round], seed }
  }

  test.each(['kill-worker+redis-flush', 'kill-leader'])(
    'nothing is lost and nothing is done twice: %s',
    async (names) => {
      const { violations, files } = await runExperiment(rig, experimentOf(names))
      expect(violations, await rig.logs()).toEqual([])
      expect(files).toBeGreaterThan(0)
    },
  )

  test('what is planted is found', async () => {
    const { violations } = await runExperiment(rig, { ...experimentOf('redis-scripts'), tamper })
    const found = new Set(violations.map((violation) => violation.split(':')[0]))
    for (const invariant of ['I1', 'I2', 'I3', 'I5', 'I7', 'I8', 'I9', 'I12'])
      expect(found, violations.join('\n')).toContain(invariant)
  })
})

/** One of each: lost bytes, a second job, a wrong ledger, a result of another attempt, a counter, an event too many. */
async function tamper({ servers }: Rig, prefix: string): Promise<void> {
  const ended = `(select j.*, f.object_id from job j join file f on f.id = j.file_id where f.name like '${prefix}-%' and j.state = 'completed')`
  const change = (statement: string): Promise<unknown> => servers.query(statement)
  const [file] = await servers.query<{ store_key: string }>(
    `select x.store_key from ${ended} j join object x on x.id = j.object_id order by j.id limit 1`,
  )
  const [output] = await servers.query<{ store_key: string }>(
    `select x.store_key from ${ended} j join output o on o.job_id = j.id join object x on x.id = o.object_id order by o.id desc limit 1`,
  )
  const client = s3Client(servers.storeUrl)
  for (const row of [file, output])
    await client.send(
      new DeleteObjectCommand({ Bucket: new URL(servers.storeUrl).hostname, Key: row?.store_key ?? '' }),
    )
  client.destroy()
  await change(`insert into job (tenant_id, file_id, file_version, pipeline_version_id, state, steps_pending, created_by, finished_at)
    select tenant_id, file_id, 1, pipeline_version_id, 'cancelled', 0, 'system', now() from ${ended} j order by id limit 1`)
  await change(`update tenant_usage set stored_bytes = stored_bytes + 1`)
  await change(`update task_result set epoch = epoch + 1 where job_id = (select max(id) from ${ended} j)`)
  await change(`update job_step set tasks_pending = 1 where job_id = (select min(id) from ${ended} j)`)
  await change(
    `insert into outbox (tenant_id, type, job_id, file_id) select tenant_id, 'job.ended', id, file_id from ${ended} j order by id limit 1`,
  )
}
