// What every store of the engine promises, told to the database and to the simulation's memory alike.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import type { EngineStore, NewJob, Settlement, TaskFence } from './engine-store.ts'
import type { PipelineDefinition } from './definition.ts'
import { newJob, newTask, testObject, toDefinition } from './testing/test-rows.ts'

export interface StoredTask {
  id: number
  step: string
  ordinal: number
  state: string
  attempt: number
  lostCount: number
  epoch: number
  rank: number
  files: string[]
}

export interface EngineStoreUnderTest {
  store: EngineStore
  addFile(definition: PipelineDefinition): Promise<Pick<NewJob, 'tenantId' | 'fileId' | 'pipelineVersionId'>>
  /** queued -> dispatched. */
  dispatch(taskIds: readonly number[]): Promise<TaskFence[]>
  passTime(ms: number): Promise<void>
  /** By id. */
  listTasks(jobId: number): Promise<StoredTask[]>
  countResults(jobId: number): Promise<number>
  listEvents(jobId: number): Promise<string[]>
  close(): Promise<void>
}

const definition = toDefinition({
  first: { uses: 'transform.a' },
  parts: { uses: 'transform.b', needs: ['first'], each: 'first' },
})
const leaseMs = 10_000
const problem = { code: 'processor_crashed', detail: 'broke' } as const

export function describeEngineStore(name: string, open: () => Promise<EngineStoreUnderTest>): void {
  describe(name, () => {
    let under: EngineStoreUnderTest
    let jobId: RowId<'job'>
    let file: Awaited<ReturnType<EngineStoreUnderTest['addFile']>>
    beforeAll(async () => {
      under = await open()
    })
    afterAll(() => under.close())
    beforeEach(async () => {
      file = await under.addFile(definition)
      jobId = await insertJob(3)
    })

    const insertJob = (tasksCount: number): Promise<RowId<'job'>> =>
      under.store.transaction((tx) => tx.insertJob(newJob(file, { tasksCount, more: ['parts'] })))
    const claim = (fences: readonly TaskFence[]) => under.store.claimTasks({ fences, leaseMs, worker: 'worker_1' })
    const settle = (settlements: Settlement[]) => under.store.transaction((tx) => tx.settleTasks(settlements))
    const succeed = (fence: TaskFence): Settlement => ({
      ...fence,
      to: 'succeeded',
      result: { ok: true },
      foundText: null,
      recordsCount: null,
      durationMs: 1,
    })
    const running = async (): Promise<TaskFence[]> => {
      const tasks = await under.listTasks(jobId)
      const fences = await under.dispatch(tasks.map(({ id }) => id))
      await claim(fences)
      return fences
    }
    const stateOf = async ({ taskId }: TaskFence) => (await under.listTasks(jobId)).find(({ id }) => id === taskId)
    const updateJob = (change: object) =>
      under.store.transaction(async (tx) => {
        const [job] = (await tx.openJobs([jobId])).jobs
        await tx.updateJobs([{ ...job!, remainingMs: 1, winding: false, ...change }])
      })

    it('writes a job with its steps, tasks and event', async () => {
      const { jobs, steps, files } = await under.store.transaction((tx) => tx.openJobs([jobId]))
      expect(jobs).toMatchObject([{ id: jobId, state: 'queued', stepsPending: 2 }])
      expect(steps.map((step) => step.name)).toEqual(['first', 'parts'])
      expect(files).toMatchObject([{ jobId, name: 'data.csv' }])
      expect((await under.listTasks(jobId)).map(({ state, rank }) => ({ state, rank }))).toMatchObject([
        { state: 'queued' },
        { state: 'queued' },
        { state: 'queued' },
      ])
      expect(await under.listEvents(jobId)).toEqual(['job.created'])
    })

    it('lets a task be claimed once, with its own epoch only, and tells of a step’s start once', async () => {
      const tasks = await under.listTasks(jobId)
      const [a, b, c] = await under.dispatch(tasks.map(({ id }) => id))
      expect(await claim([{ ...a!, epoch: a!.epoch + 1 }])).toEqual([])
      const older = { ...c!, epoch: c!.epoch - 1 }
      expect(await claim([older, b!, a!])).toMatchObject([
        { attempt: 1, file: { name: 'data.csv' } },
        { attempt: 1, file: { name: 'data.csv' } },
      ])
      expect(await claim([a!])).toEqual([])
      expect(await claim([c!, older])).toMatchObject([{ taskId: c!.taskId, epoch: c!.epoch }])
      expect(await under.listEvents(jobId)).toEqual(['job.created', 'step.started'])
    })

    it('tells with each task of its own job and file', async () => {
      const others = await under.addFile(definition)
      const otherJobId = await under.store.transaction((tx) =>
        tx.insertJob(newJob(others, { tasksCount: 2, more: [] })),
      )
      const tasks = [...(await under.listTasks(otherJobId)), ...(await under.listTasks(jobId))]
      const claimed = await claim(await under.dispatch(tasks.map(({ id }) => id)))
      const told = claimed.map((task) => [task.jobId, task.file.fileId, task.pipelineVersionId])
      const of = (job: number, { fileId, pipelineVersionId }: typeof file) => [job, fileId, pipelineVersionId]
      expect(told.filter(([job]) => job === jobId)).toEqual(Array(3).fill(of(jobId, file)))
      expect(told.filter(([job]) => job === otherJobId)).toEqual(Array(2).fill(of(otherJobId, others)))
    })

    it('lets no task of a job that is being cancelled be claimed', async () => {
      const fences = await under.dispatch((await under.listTasks(jobId)).map(({ id }) => id))
      await updateJob({ state: 'cancelling' })
      expect(await claim(fences)).toEqual([])
    })

    it('lets nobody without the lease settle a task, and whoever has it once', async () => {
      const [fence] = await running()
      expect(await settle([succeed({ ...fence!, epoch: fence!.epoch - 1 })])).toEqual(new Set())
      expect(await under.countResults(jobId)).toBe(0)
      expect(await settle([succeed(fence!)])).toEqual(new Set([fence!.taskId]))
      expect(await settle([succeed(fence!)])).toEqual(new Set())
      expect(await settle([{ ...fence!, to: 'dead', problem }])).toEqual(new Set())
      expect(await under.countResults(jobId)).toBe(1)
    })

    it('counts attempts: a retry uses one, a release and a lost worker none', async () => {
      const [a, b, c] = await running()
      await settle([
        { ...a!, to: 'delayed', delayMs: 50, problem },
        { ...b!, to: 'queued', lost: false },
      ])
      expect(await stateOf(a!)).toMatchObject({ state: 'delayed', attempt: 1 })
      expect(await stateOf(b!)).toMatchObject({ state: 'queued', attempt: 0, lostCount: 0 })
      expect(await settle([{ ...c!, to: 'queued', lost: true }])).toEqual(new Set())
      await under.passTime(leaseMs + 1)
      expect(await settle([{ ...c!, to: 'queued', lost: true }])).toEqual(new Set([c!.taskId]))
      expect(await stateOf(c!)).toMatchObject({ state: 'queued', attempt: 0, lostCount: 1 })
    })

    it('fences a worker off when its task is cancelled by force', async () => {
      const [fence] = await running()
      await settle([{ ...fence!, to: 'cancelled', force: true }])
      expect(await stateOf(fence!)).toMatchObject({ state: 'cancelled', epoch: fence!.epoch + 1 })
      expect(await settle([succeed(fence!)])).toEqual(new Set())
    })

    it('extends leases that are held, and tells whose job is being cancelled', async () => {
      const [a, b] = await running()
      await settle([succeed(b!)])
      await updateJob({ state: 'cancelling', winding: true })
      expect(await under.store.extendLeases([a!, b!], leaseMs)).toEqual([{ taskId: a!.taskId, cancelled: true }])
    })

    it('undoes all of a transaction that throws', async () => {
      const [fence] = await running()
      const failing = under.store.transaction(async (tx) => {
        await tx.settleTasks([succeed(fence!)])
        await tx.appendEvents([{ tenantId: file.tenantId, type: 'job.ended', jobId, fileId: file.fileId, data: {} }])
        throw new Error('planned')
      })
      await expect(failing).rejects.toThrow('planned')
      expect(await stateOf(fence!)).toMatchObject({ state: 'running' })
      expect(await under.countResults(jobId)).toBe(0)
      expect(await under.listEvents(jobId)).not.toContain('job.ended')
    })

    it('never lets progress go back', async () => {
      await updateJob({ progressPercent: 50 })
      await updateJob({ progressPercent: 20 })
      const { jobs } = await under.store.transaction((tx) => tx.openJobs([jobId]))
      expect(jobs).toMatchObject([{ progressPercent: 50 }])
    })

    it('cancels idle tasks, so many at a time, and leaves running ones', async () => {
      const [first, ...others] = await under.listTasks(jobId)
      await claim(await under.dispatch([first!.id]))
      const cancel = (limit: number) => under.store.transaction((tx) => tx.cancelIdleTasks([jobId], limit))
      expect(await cancel(1)).toEqual([{ jobId, step: 'first', count: 1 }])
      expect(await cancel(10)).toEqual([{ jobId, step: 'first', count: others.length - 1 }])
      expect(await under.store.transaction((tx) => tx.countOpenTasks(jobId, 'first'))).toBe(1)
      expect(await under.store.transaction((tx) => tx.requeueEndedTasks(jobId, 'first'))).toBe(2)
    })

    it('holds what is in nobody’s hands, offered tasks included, and lets it go to where its time puts it', async () => {
      const [first, second, third] = await running()
      const problem = { code: 'processor_crashed', detail: '' } as const
      await settle([
        { ...first!, to: 'delayed', delayMs: 60_000, problem },
        { ...second!, to: 'queued', lost: false },
      ])
      const [offered] = await under.dispatch([second!.taskId])
      const states = async () => (await under.listTasks(jobId)).map(({ state }) => state)
      expect(await states()).toEqual(['delayed', 'dispatched', 'running'])
      expect(await under.store.transaction((tx) => tx.holdTasks(jobId, 1))).toBe(true)
      expect(await under.store.transaction((tx) => tx.holdTasks(jobId, 10))).toBe(false)
      expect(await states()).toEqual(['blocked', 'blocked', 'running'])
      expect(await claim([offered!])).toEqual([])
      expect(await under.store.extendLeases([third!], leaseMs)).toEqual([{ taskId: third!.taskId, cancelled: false }])
      expect(await under.store.transaction((tx) => tx.releaseTasks(jobId, 1))).toBe(true)
      expect(await under.store.transaction((tx) => tx.releaseTasks(jobId, 10))).toBe(false)
      expect(await states()).toEqual(['delayed', 'queued', 'running'])
    })

    it('lets nothing of a paused job be claimed, nor of one that is wound up, whose workers are told to stop', async () => {
      const [first, second] = await under.listTasks(jobId)
      const [fence] = await under.dispatch([first!.id])
      await claim([fence!])
      const [waiting] = await under.dispatch([second!.id])
      await updateJob({ state: 'paused' })
      expect(await claim([waiting!])).toEqual([])
      expect(await under.store.extendLeases([fence!], leaseMs)).toEqual([{ taskId: first!.id, cancelled: false }])
      await updateJob({ state: 'running', winding: true })
      expect(await claim([waiting!])).toEqual([])
      expect(await under.store.extendLeases([fence!], leaseMs)).toEqual([{ taskId: first!.id, cancelled: true }])
      await updateJob({ winding: false })
      expect(await claim([waiting!])).toHaveLength(1)
    })

    it('splits a step in pieces: a task per output, in order, none twice', async () => {
      const [fence] = await running()
      const objects = [0, 1, 2, 3, 4].map(() => testObject(file.tenantId))
      const output = (index: number) => ({
        tenantId: file.tenantId,
        jobId,
        taskId: fence!.taskId,
        step: 'first',
        name: `part-${index}`,
        contentType: 'text/plain',
        object: objects[index]!,
        processor: 'test.split',
        processorVersion: 1,
      })
      await under.store.transaction((tx) => tx.insertOutputs([0, 1, 2, 3, 4].map(output)))
      const { input } = newTask(file.tenantId, 0)
      const shared = {
        name: 'shared',
        contentType: 'text/plain',
        sizeBytes: 5,
        sha256: '',
        objectId: 's',
        from: 'original',
      }
      const expand = (afterOutputId: number, first?: { rank: number; costMs: number }) =>
        under.store.transaction((tx) =>
          tx.expandStep({
            ...newTask(file.tenantId, 0),
            jobId,
            step: 'parts',
            each: 'first',
            first,
            input: { ...input, files: [shared] },
            afterOutputId,
            limit: 3,
          }),
        )
      const piece = await expand(0, { rank: 1_000, costMs: 10 })
      expect(piece.count).toBe(3)
      expect(await expand(piece.lastOutputId)).toMatchObject({ count: 2 })
      const parts = (await under.listTasks(jobId)).filter(({ step }) => step === 'parts')
      expect(parts.map(({ ordinal, rank, files }) => ({ ordinal, rank, files }))).toEqual(
        [0, 1, 2, 3, 4].map((index) => ({
          ordinal: index,
          rank: 1_000 + index * 10,
          files: [`part-${index}`, 'shared'],
        })),
      )
      const claimed = await claim(await under.dispatch(parts.map(({ id }) => id)))
      expect(claimed.toSorted((a, b) => a.ordinal - b.ordinal).map((task) => task.input)).toEqual(
        parts.map(({ ordinal }) => {
          const { objectId, sha256, sizeBytes } = objects[ordinal]!
          const part = {
            name: `part-${ordinal}`,
            contentType: 'text/plain',
            sizeBytes,
            sha256,
            objectId,
            from: 'first',
          }
          return { ...input, files: [part, shared] }
        }),
      )
      const counts = await under.store.transaction((tx) => tx.countOutputs([jobId]))
      expect(counts).toEqual([{ jobId, step: 'first', count: 5, sizeBytes: 50 }])
      const names = await under.store.transaction((tx) => tx.findOutputNames(jobId, ['part-1', 'other']))
      expect(names).toEqual(new Set(['part-1']))
    })

    it('forgets the work of a step', async () => {
      const [fence] = await running()
      await settle([succeed(fence!)])
      await under.store.transaction((tx) => tx.deleteStepWork(jobId, ['first']))
      expect(await under.listTasks(jobId)).toEqual([])
      expect(await under.countResults(jobId)).toBe(0)
    })
  })
}
