import { afterAll, beforeAll, expect, test } from 'vitest'
import { silentLog } from '../platform/log.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { createWorkerRegistration } from './registration.ts'
import { eventually } from './testing/eventually.ts'

let house: TestDatabase
beforeAll(async () => {
  house = await createTestDatabase()
})
afterAll(() => house.drop())

const rows = async () => (await house.database.query('select * from worker')).rows

test('a worker is in the table from start to stop, with what it is and uses', async () => {
  let busy = 1
  let isAwake = false
  const registration = createWorkerRegistration({
    database: house.database,
    worker: 'worker_1',
    sandbox: { level: 'bubblewrap' },
    loop: { slotsCount: 4, busyCount: () => busy },
    // Time passes when the test says so.
    clock: {
      now: () => new Date(),
      monotonicMs: () => 0,
      sleep: async (_ms, signal) => {
        await eventually(() => expect(isAwake || signal?.aborted).toBe(true))
        isAwake = false
      },
    },
    log: silentLog,
  })
  await registration.start(new AbortController().signal)
  expect(await rows()).toMatchObject([{ id: 'worker_1', sandbox: 'bubblewrap', slots: 4, busy: 1 }])
  const [first] = await rows()
  expect(first?.['memory_bytes']).toBeGreaterThan(10e6)
  expect(first?.['cpu_share']).toBeGreaterThanOrEqual(0)

  busy = 3
  isAwake = true
  await eventually(async () => expect(await rows()).toMatchObject([{ busy: 3, started_at: first?.['started_at'] }]))

  await registration.stop(1_000)
  await registration.stop(1_000)
  expect(await rows()).toEqual([])
})
