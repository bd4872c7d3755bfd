// What every store of the duties promises, told to the database and to the simulation's memory alike.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import type { ChangedJob, EngineStore, EngineTx } from '../processing/engine-store.ts'
import type { Leadership, SchedulerStore } from './scheduler-store.ts'

export interface SchedulerStoreUnderTest {
  scheduler: SchedulerStore
  engine: EngineStore
  /** A job with one step and so many queued tasks, ranked in steps of 10 in the order of their ordinals. */
  addJob(job: { tenantId: number; lane: number; tasksCount: number }): Promise<RowId<'job'>>
  addTenant(tenant: { weight: number; runningMax: number; paused: boolean; startsPerSecond?: number }): Promise<number>
  /** Says of a pool what holds from now on. */
  setPool(pool: number, share: { paused: boolean; startsPerSecond: number | null }): Promise<void>
  seeWorker(name: string, slots: number): Promise<void>
  passTime(ms: number): Promise<void>
  close(): Promise<void>
}

const leaseMs = 10_000

export function describeSchedulerStore(name: string, open: () => Promise<SchedulerStoreUnderTest>): void {
  describe(name, () => {
    let under: SchedulerStoreUnderTest
    let leadership: Leadership
    let tenantId: number
    beforeAll(async () => {
      under = await open()
    })
    afterAll(() => under.close())
    beforeEach(async () => {
      await under.passTime(leaseMs + 1)
      leadership = (await lead('us'))!
      tenantId = await under.addTenant({ weight: 3, runningMax: 7, paused: false })
    })

    const lead = (owner: string, epoch?: number) => under.scheduler.lead({ shard: 0, owner, epoch, leaseMs })
    const admit = (count: number, { lane = 1, as = leadership } = {}) =>
      under.scheduler.admit({ pool: 0, orders: [{ lane, tenantId, count }], leaseMs, leadership: as })
    const start = (count: number, as = leadership) =>
      under.scheduler.start({
        pool: 0,
        orders: [{ lane: 1, tenantId, count }],
        leaseMs,
        worker: 'worker_1',
        leadership: as,
      })
    const claim = (fences: readonly { taskId: number; epoch: number }[]) =>
      under.engine.claimTasks({ fences, leaseMs, worker: 'worker_1' })
    const inTx = <T>(work: (tx: EngineTx) => Promise<T>) => under.engine.transaction(work)
    const ours = async () => (await under.scheduler.listBacklog(0, 10_000)).filter((each) => each.tenantId === tenantId)

    it('gives the lead to one, who keeps its epoch while it renews in time', async () => {
      expect(await lead('them')).toBeUndefined()
      expect(await lead('us', leadership.epoch)).toEqual(leadership)
      await under.passTime(leaseMs + 1)
      const theirs = await lead('them')
      expect(theirs?.epoch).toBe(leadership.epoch + 1)
      expect(await lead('us', leadership.epoch)).toBeUndefined()
    })

    it('begins a new epoch for whoever takes the lead again after its end, and for one given up', async () => {
      await under.passTime(leaseMs + 1)
      expect((await lead('us', leadership.epoch))?.epoch).toBe(leadership.epoch + 1)
      await under.scheduler.resign(leadership)
      expect(await lead('them')).toBeUndefined()
      await under.scheduler.resign({ ...leadership, epoch: leadership.epoch + 1 })
      expect((await lead('them'))?.epoch).toBe(leadership.epoch + 2)
    })

    it('admits by rank, with the next epoch, so many as are asked', async () => {
      await under.addJob({ tenantId, lane: 1, tasksCount: 3 })
      const admitted = await admit(2)
      expect(
        admitted
          .map(({ epoch, lane, rank, isPart }) => ({ epoch, lane, rank, isPart }))
          .toSorted((a, b) => a.rank - b.rank),
      ).toEqual([
        { epoch: 1, lane: 1, rank: 0, isPart: false },
        { epoch: 1, lane: 1, rank: 10, isPart: true },
      ])
      expect(await admit(5)).toMatchObject([{ rank: 20 }])
      expect(await admit(5)).toEqual([])
    })

    it('starts for a worker what it admits, in one, with all that the worker needs', async () => {
      const jobId = await under.addJob({ tenantId, lane: 1, tasksCount: 3 })
      const started = await start(2)
      const facts = started.map(({ epoch, lane, rank, costMs, isPart }) => ({ epoch, lane, rank, costMs, isPart }))
      expect(facts.toSorted((a, b) => a.rank - b.rank)).toEqual([
        { epoch: 1, lane: 1, rank: 0, costMs: 10, isPart: false },
        { epoch: 1, lane: 1, rank: 10, costMs: 10, isPart: true },
      ])
      const { claimed, ...admitted } = started[0]!
      expect(claimed).toMatchObject({
        taskId: admitted.taskId,
        epoch: 1,
        tenantId,
        jobId,
        attempt: 1,
        file: { depth: 0 },
      })
      expect(await under.engine.extendLeases(started, leaseMs)).toHaveLength(2)
      expect(await under.scheduler.countInFlight([tenantId])).toEqual(new Map([[tenantId, 2]]))
      expect(await start(5)).toMatchObject([{ rank: 20 }])
      expect(await start(5)).toEqual([])
    })

    it('starts nothing of a job that is wound up, and nothing for whoever does not lead any more', async () => {
      const jobId = await under.addJob({ tenantId, lane: 1, tasksCount: 1 })
      expect(await start(1, { ...leadership, epoch: leadership.epoch - 1 })).toEqual([])
      await change(jobId, { winding: true })
      expect(await start(1)).toEqual([])
    })

    it('admits nothing for whoever does not lead any more', async () => {
      await under.addJob({ tenantId, lane: 1, tasksCount: 1 })
      expect(await admit(1, { as: { ...leadership, epoch: leadership.epoch - 1 } })).toEqual([])
      expect(await admit(1, { as: { ...leadership, owner: 'them' } })).toEqual([])
      await under.passTime(leaseMs + 1)
      expect(await admit(1)).toEqual([])
    })

    it('lists who waits, lane by lane, with weight and cap, without those that are paused', async () => {
      expect(await ours()).toEqual([])
      await under.addJob({ tenantId, lane: 2, tasksCount: 2 })
      await under.addJob({ tenantId, lane: 0, tasksCount: 1 })
      expect(await ours()).toEqual([
        { lane: 0, tenantId, costMs: 10, weight: 3, runningMax: 7, startsFree: null, poolStartsFree: null },
        { lane: 2, tenantId, costMs: 10, weight: 3, runningMax: 7, startsFree: null, poolStartsFree: null },
      ])
      const paused = await under.addTenant({ weight: 1, runningMax: 1, paused: true })
      await under.addJob({ tenantId: paused, lane: 1, tasksCount: 1 })
      expect((await under.scheduler.listBacklog(0, 10_000)).some((each) => each.tenantId === paused)).toBe(false)
    })

    it('takes a token for each start where there is a rate, and holds no more of them than a second brings', async () => {
      tenantId = await under.addTenant({ weight: 1, runningMax: 100, paused: false, startsPerSecond: 0.001 })
      await under.addJob({ tenantId, lane: 1, tasksCount: 5 })
      expect(await ours()).toMatchObject([{ startsFree: 1, poolStartsFree: null }])
      expect(await admit(1)).toHaveLength(1)
      expect(await ours()).toMatchObject([{ startsFree: 0 }])
      await under.passTime(1_001_000)
      expect(await ours()).toMatchObject([{ startsFree: 1 }])
    })

    it('takes a token for each start of a pool, and lists nobody while it is paused', async () => {
      await under.addJob({ tenantId, lane: 1, tasksCount: 3 })
      await under.setPool(0, { paused: false, startsPerSecond: 0.001 })
      expect(await ours()).toMatchObject([{ startsFree: null, poolStartsFree: 1 }])
      expect(await admit(1)).toHaveLength(1)
      expect(await ours()).toMatchObject([{ poolStartsFree: 0 }])
      await under.setPool(0, { paused: true, startsPerSecond: null })
      expect(await ours()).toEqual([])
      await under.setPool(0, { paused: false, startsPerSecond: null })
      expect(await ours()).toMatchObject([{ poolStartsFree: null }])
    })

    it('counts what is in flight: offered and running', async () => {
      await under.addJob({ tenantId, lane: 1, tasksCount: 3 })
      const [first] = await admit(2)
      await claim([first!])
      expect(await under.scheduler.countInFlight([tenantId])).toEqual(new Map([[tenantId, 2]]))
    })

    it('takes back what was offered and not claimed in time, and lists whose worker is lost', async () => {
      await under.addJob({ tenantId, lane: 1, tasksCount: 2 })
      const [first] = await admit(2)
      await claim([first!])
      await under.passTime(leaseMs + 1)
      const before = await under.scheduler.requeueExpired(10_000)
      expect(before).toBeGreaterThanOrEqual(1)
      expect(await ours()).toHaveLength(1)
      const lost = await under.scheduler.listLost(10_000)
      expect(lost.filter(({ taskId }) => taskId === first!.taskId)).toMatchObject([
        { epoch: first!.epoch, attempt: 1, attemptsMax: 3, lostCount: 0, step: 'first', backoff: { initial_ms: 1 } },
      ])
    })

    it('ends leases at once when the transport has lost what it held', async () => {
      await under.addJob({ tenantId, lane: 1, tasksCount: 2 })
      const [first] = await admit(2)
      await claim([first!])
      await under.scheduler.expireLeases('dispatched')
      await under.scheduler.requeueExpired(10_000)
      expect(await under.scheduler.countInFlight([tenantId])).toEqual(new Map([[tenantId, 1]]))
      await under.scheduler.expireLeases('all')
      expect((await under.scheduler.listLost(10_000)).some(({ taskId }) => taskId === first!.taskId)).toBe(true)
    })

    it('queues delayed tasks when their time has come', async () => {
      await under.addJob({ tenantId, lane: 1, tasksCount: 1 })
      const [fence] = await admit(1)
      await claim([fence!])
      const problem = { code: 'processor_crashed', detail: '' } as const
      await inTx((tx) => tx.settleTasks([{ ...fence!, to: 'delayed', delayMs: 5_000, problem }]))
      await under.scheduler.promoteDelayed(10_000)
      expect(await ours()).toEqual([])
      await under.passTime(5_001)
      expect(await under.scheduler.promoteDelayed(10_000)).toBeGreaterThanOrEqual(1)
      expect(await ours()).toHaveLength(1)
    })

    it('moves the virtual time of a tenant forwards only, and lets a new job begin there', async () => {
      await under.addJob({ tenantId, lane: 1, tasksCount: 3 })
      const admitted = await admit(3)
      await claim(admitted)
      const first = admitted.find(({ rank }) => rank === 0)!
      await inTx((tx) => tx.settleTasks([{ ...first, to: 'queued', lost: false }]))
      expect(await admit(1)).toMatchObject([{ taskId: first.taskId, rank: 0 }])
      await under.addJob({ tenantId, lane: 1, tasksCount: 1 })
      expect(await admit(1)).toMatchObject([{ rank: 20 }])
      await under.addJob({ tenantId, lane: 0, tasksCount: 1 })
      expect(await admit(1, { lane: 0 })).toMatchObject([{ rank: 0 }])
    })

    const change = (jobId: number, change: Partial<ChangedJob>) =>
      inTx(async (tx) => {
        const [job] = (await tx.openJobs([jobId])).jobs
        await tx.updateJobs([{ ...job!, remainingMs: 0, winding: false, ...change }])
      })
    const unfinished = async (jobId: number) =>
      (await under.scheduler.listUnfinished(10_000)).filter((job) => job.jobId === jobId).map(({ kind }) => kind)

    it('lists jobs that are wound up while something of them is in nobody’s hands', async () => {
      const jobId = await under.addJob({ tenantId, lane: 1, tasksCount: 3 })
      expect(await unfinished(jobId)).toEqual([])
      await change(jobId, { winding: true })
      expect(await unfinished(jobId)).toEqual(['winding'])
      await inTx((tx) => tx.holdTasks(jobId, 10))
      expect(await unfinished(jobId)).toEqual(['winding'])
      await inTx((tx) => tx.releaseTasks(jobId, 10))
      await change(jobId, { winding: false })
      await claim(await admit(1))
      await change(jobId, { winding: true })
      expect(await inTx((tx) => tx.cancelIdleTasks([jobId], 10))).toEqual([{ jobId, step: 'first', count: 2 }])
      expect(await unfinished(jobId)).toEqual([])
    })

    it('lists jobs that were paused or resumed until their tasks are where they belong', async () => {
      const jobId = await under.addJob({ tenantId, lane: 1, tasksCount: 3 })
      await change(jobId, { state: 'paused', tasksMoving: true })
      expect(await unfinished(jobId)).toEqual(['moving'])
      expect(await inTx((tx) => tx.holdTasks(jobId, 2))).toBe(true)
      expect(await inTx((tx) => tx.holdTasks(jobId, 2))).toBe(false)
      expect(await ours()).toEqual([])
      await change(jobId, { tasksMoving: false })
      expect(await unfinished(jobId)).toEqual([])
      expect(await inTx((tx) => tx.releaseTasks(jobId, 2))).toBe(true)
      expect(await inTx((tx) => tx.releaseTasks(jobId, 2))).toBe(false)
      expect(await admit(5)).toHaveLength(3)
    })

    it('tells what still runs of jobs that are wound up, after the grace', async () => {
      const jobId = await under.addJob({ tenantId, lane: 1, tasksCount: 1 })
      const [fence] = await admit(1)
      await claim([fence!])
      await inTx(async (tx) => {
        const [job] = (await tx.openJobs([jobId])).jobs
        await tx.updateJobs([{ ...job!, state: 'cancelling', remainingMs: 0, winding: true }])
      })
      const abandoned = async () =>
        (await under.scheduler.listAbandoned(1_000, 10_000)).filter((task) => task.jobId === jobId)
      expect(await abandoned()).toEqual([])
      await under.passTime(1_001)
      expect(await abandoned()).toMatchObject([{ taskId: fence!.taskId, epoch: fence!.epoch }])
    })

    it('counts the slots of workers that were seen within the last minute', async () => {
      const before = await under.scheduler.countSlots()
      await under.seeWorker('one', 4)
      expect(await under.scheduler.countSlots()).toBe(before + 4)
      await under.passTime(61_000)
      expect(await under.scheduler.countSlots()).toBe(0)
    })
  })
}
