import { expect, it } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { createLocalWakeBus } from '../platform/wake.ts'
import { createHandOut } from '../queue/hand-out.ts'
import { createTaskDesk } from './desk.ts'
import type { Engine } from './engine.ts'
import type { TaskAssignment } from './task.ts'
import { createMemoryStore } from './testing/memory-store.ts'
import { testInput } from './testing/test-rows.ts'

const task = (epoch: number): TaskAssignment => ({
  taskId: 1,
  epoch,
  tenantId: 1,
  jobId: 1,
  step: 'a',
  ordinal: 0,
  attempt: 1,
  attemptsMax: 3,
  input: testInput,
  file: { fileId: 1, name: '', contentType: '', sizeBytes: 0, sha256: '', metadata: {}, depth: 0 },
  results: {},
})

it('writes only the later of two reports of a task that its worker had lost and got again', async () => {
  const epochs: number[] = []
  const engine: Pick<Engine, 'settleAndContinue'> = {
    async settleAndContinue(reports) {
      epochs.push(...reports.map((report) => report.task.epoch))
      return { taskIds: new Set(reports.map((report) => report.task.taskId)), continued: new Map() }
    },
  }
  const wake = createLocalWakeBus()
  const desk = createTaskDesk({
    store: createMemoryStore(() => 0),
    engine: engine as Engine, // Reports are settled, nothing else is asked.
    queue: createHandOut({ clock: systemClock, wake }),
    estimates: { costMs: () => 1, learn: () => {}, refresh: async () => {} },
    wake,
    clock: systemClock,
    log: silentLog,
    worker: 'worker_1',
  })
  const done = { kind: 'done', outputs: [], result: null, durationMs: 1 } as const
  const reported = await Promise.all([
    desk.report(task(1), { ...done, outputs: [] }),
    desk.report(task(2), { ...done, outputs: [] }),
  ])
  expect(reported).toEqual([false, true])
  expect(epochs).toEqual([2])
})
