// The ready queue on Redis or Valkey, by BullMQ, one of its queues per pool. It carries ids and nothing else.
//
// Of BullMQ's delivery only the hand-out is used: a job is completed, and with that removed, as soon as it was fetched,
// because the lease of its task in the database is what brings it back when its taker dies. So: one attempt, nothing
// kept, and of a job that its taker fetched and could not complete, the stalled check makes nothing but a removed one.
// The id of a job is task and epoch, which makes an offer that is sent twice one job.
//
// A job costs more here, at the server and at both ends, than a short task costs the database. So one job carries a bunch of
// them, and whoever fetches it has all of them. What was fetched while nobody waited any more goes back to the head of the
// queue after a moment, where others take it.
//
// All keys of a pool share a hash tag, so that a cluster keeps them in one slot.

import { Queue, Worker, type Job } from 'bullmq'
import type { Clock } from '../platform/clock.ts'
import type { Ids } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import { invariant, Problem } from '../platform/problem.ts'
import type { RedisConnection } from '../platform/redis.ts'
import { createBell, type Bell } from './bell.ts'
import { toBunches } from './bunches.ts'
import type { ReadyQueue, ReadyTask } from './ready-queue.ts'

export interface BullmqQueueDependencies {
  redis: RedisConnection
  clock: Clock
  ids: Ids
  log: Log
  /** Of all keys, with a hash tag. */
  prefix?: string
}

interface Pool {
  name: string
  queue: Queue<JobData>
  /** Made by the first take; processes that only offer need no second connection. */
  worker: Worker<JobData> | undefined
  bell: Bell
  /** Jobs that were fetched while nobody waited any more, oldest first. */
  spare: ReadyTask[][]
  /** Somebody will look after what is spare. */
  isWatched: boolean
  /** A fetch that waits at the server. */
  fetching: Promise<void> | undefined
}
interface JobData {
  /** Row id of the tenant; the job's id tells the rest of its first task. */
  t: number
  /** Task, epoch and tenant of each after the first. */
  more?: readonly (readonly number[])[]
}

const prefixDefault = '{millrace}'
/** How long a blocked fetch stays before it looks whether anybody still wants it. */
const blockSeconds = 2
const fetchesAtOnceMax = 16
const pushBatchCount = 500
/** How long what was fetched for nobody is kept. */
const spareMs = 50
/** More jobs than are ever offered at a time. */
const depthJobsMax = 10_000
const eventsKeptCount = 100

/**
 * Throws Problem('setting_invalid') when the server may evict keys. When it does not answer now, the check is made up
 * for at the first call that reaches it, and calls fail with that Problem.
 */
export async function createBullmqQueue(deps: BullmqQueueDependencies): Promise<ReadyQueue> {
  const { redis, clock, ids, log, prefix = prefixDefault } = deps
  const pools = new Map<number, Pool>()
  const requireNoEviction = onceTrue(() => checkEviction(redis))
  const sentinel = createSentinel({ redis, ids, key: `${prefix}:intact` })
  let closed = false

  await requireNoEviction().catch((error: unknown) => {
    if (error instanceof Problem && error.code === 'setting_invalid') throw error
    log.warn('queue.redis_unreachable')
  })

  const options = { connection: redis.client, prefix, skipVersionCheck: true, skipWaitingForReady: true }
  const quiet = (error: Error): void => log.debug('queue.redis_error', { error: error.message })

  const poolOf = (number: number): Pool => {
    let pool = pools.get(number)
    if (pool === undefined) {
      const name = `ready-${number}`
      const queue = new Queue<JobData>(name, {
        ...options,
        skipMetasUpdate: true,
        streams: { events: { maxLen: eventsKeptCount } },
        defaultJobOptions: { attempts: 1, removeOnComplete: true, removeOnFail: true },
      })
      queue.on('error', quiet)
      const bell = createBell(clock)
      pool = { name, queue, worker: undefined, bell, spare: [], isWatched: false, fetching: undefined }
      pools.set(number, pool)
    }
    return pool
  }

  const workerOf = (pool: Pool): Worker<JobData> => {
    if (pool.worker === undefined) {
      const worker = new Worker<JobData>(pool.name, null, {
        ...options,
        autorun: false,
        maxStalledCount: 0,
        drainDelay: blockSeconds,
      })
      worker.on('error', quiet)
      void worker.startStalledCheckTimer().catch(quiet)
      pool.worker = worker
    }
    return pool.worker
  }

  /** The tasks of the next job; undefined when there is none. */
  async function fetchOne(worker: Worker<JobData>, block: boolean): Promise<ReadyTask[] | undefined> {
    const token = 'taken'
    const job = (await worker.getNextJob(token, { block })) as Job<JobData> | undefined
    if (job === undefined) return undefined
    // Not waited for, and after the claim has left: when it fails, the stalled check removes the job.
    setImmediate(() => void job.moveToCompleted('', token, false).catch(quiet))
    return toTasks(job)
  }

  /** What is there, without waiting: one first, because mostly there is none or one, then more and more at once. */
  async function fetchMany(pool: Pool, max: number): Promise<ReadyTask[]> {
    const worker = workerOf(pool)
    const jobs = pool.spare.splice(0, max)
    // What was waited for is begun before it is asked whether there is more.
    if (jobs.length > 0) return jobs.flat()
    for (let atOnce = 1; jobs.length < max; atOnce = Math.min(2 * atOnce, fetchesAtOnceMax)) {
      const count = Math.min(atOnce, max - jobs.length)
      const fetched = await redis.call(() => Promise.all(Array.from({ length: count }, () => fetchOne(worker, false))))
      jobs.push(...fetched.filter((tasks) => tasks !== undefined))
      if (fetched.includes(undefined)) break
    }
    return jobs.flat()
  }

  /** For the next take here, or, when that does not come soon, for others. */
  function keepSpare(pool: Pool, tasks: ReadyTask[]): void {
    pool.spare.push(tasks)
    if (pool.isWatched) return
    pool.isWatched = true
    void clock.sleep(spareMs).then(() => {
      pool.isWatched = false
      return closed ? undefined : redis.call(() => handBack(pool)).catch(quiet)
    })
  }

  /** To the head of the queue, in their order. */
  function handBack({ queue, spare }: Pool): Promise<unknown> {
    const jobs = spare.splice(0).map(toReturned)
    return jobs.length === 0 ? Promise.resolve() : queue.addBulk(jobs.toReversed())
  }

  /** Blocks at the server until a job comes, for whoever takes then; one at a time per pool. */
  function awaitOne(pool: Pool): void {
    if (pool.fetching !== undefined || closed) return
    pool.fetching = fetchOne(workerOf(pool), true)
      .then((tasks) => tasks && keepSpare(pool, tasks))
      .catch(quiet)
      .finally(() => {
        pool.fetching = undefined
        pool.bell.ring()
      })
  }

  /** What was fetched is offered to others; a fetch whose answer is on its way is waited for. */
  async function closePool(pool: Pool): Promise<void> {
    pool.bell.ring()
    await Promise.race([pool.fetching, clock.sleep(spareMs)])
    await pool.worker?.close(true)
    await handBack(pool)
    await pool.queue.close()
  }

  return {
    kind: 'bullmq',

    async push(number, tasks) {
      await requireNoEviction()
      const { queue } = poolOf(number)
      const jobs = toBunches(tasks)
        .map((bunch) => toJob(bunch))
        .toArray()
      for (let at = 0; at < jobs.length; at += pushBatchCount)
        await redis.call(() => addAll(queue, jobs.slice(at, at + pushBatchCount)))
    },

    async depth(number) {
      const waiting = poolOf(number).queue.toKey('wait')
      const jobIds = await redis.call((client) => client.lrange(waiting, 0, depthJobsMax))
      return jobIds.reduce((sum, jobId) => sum + countOf(jobId), 0)
    },

    async take(number, { max, waitMs, signal }) {
      await requireNoEviction()
      const pool = poolOf(number)
      const end = clock.monotonicMs() + waitMs
      for (;;) {
        const { count } = pool.bell
        if (closed || signal.aborted) return []
        const taken = await fetchMany(pool, max)
        const leftMs = end - clock.monotonicMs()
        if (taken.length > 0 || leftMs <= 0) return taken
        awaitOne(pool)
        await pool.bell.wait(count, { ms: leftMs, signal })
      }
    },

    async intact() {
      await requireNoEviction()
      return sentinel.isIntact()
    },

    async close() {
      if (closed) return
      closed = true
      const ends = [...pools.values()].map(closePool)
      await redis.call(() => Promise.allSettled(ends)).catch(quiet)
    },
  }
}

/** Its id tells the first task and its epoch, and how many there are when there are several. */
function toJob(tasks: readonly ReadyTask[]) {
  const [first, ...others] = tasks
  invariant(first, 'a job carries a task')
  const jobId = `${first.taskId}-${first.epoch}`
  if (others.length === 0) return { name: 'task', data: { t: first.tenantId }, opts: { jobId } }
  const more = others.map(({ taskId, epoch, tenantId }) => [taskId, epoch, tenantId] as const)
  return { name: 'tasks', data: { t: first.tenantId, more }, opts: { jobId: `${jobId}-${tasks.length}` } }
}

/** One alone goes without the transaction around several, which takes a third longer. */
const addAll = (queue: Queue<JobData>, jobs: ReturnType<typeof toJob>[]): Promise<unknown> => {
  const [first] = jobs
  return first !== undefined && jobs.length === 1 ? queue.add(first.name, first.data, first.opts) : queue.addBulk(jobs)
}

/** To the head of the queue; under an id of its own, because the job that it was may not be removed yet. */
function toReturned(tasks: readonly ReadyTask[]) {
  const { name, data, opts } = toJob(tasks)
  const jobId = tasks.length > 1 ? `${opts.jobId}-again` : `${opts.jobId}-1-again`
  return { name, data, opts: { jobId, lifo: true } }
}

const countOf = (jobId: string): number => Number(jobId.split('-')[2] ?? 1) || 1

/** Somebody else may write into the same server; what is no offer of ours is dropped. */
function toTasks(job: Job<JobData>): ReadyTask[] {
  const [firstId, firstEpoch] = (job.id ?? '').split('-').map(Number)
  const { t, more = [] } = job.data
  return [[firstId, firstEpoch, t], ...(Array.isArray(more) ? more : [])].flatMap((each: unknown) => {
    const [taskId, epoch, tenantId] = Array.isArray(each) ? each : []
    return [taskId, epoch, tenantId].every(Number.isSafeInteger) ? [{ taskId, epoch, tenantId }] : []
  })
}

/** Throws Problem('setting_invalid') for a server that may drop entries of a queue to make room. */
async function checkEviction(redis: RedisConnection): Promise<void> {
  const policy = /^maxmemory_policy:(\S+)/m.exec(await redis.call((client) => client.info('memory')))?.[1]
  if (policy === undefined || policy === 'noeviction') return
  throw new Problem('setting_invalid', {
    detail:
      `REDIS_URL: the server evicts keys when its memory is full (maxmemory-policy ${policy}), which would lose entries ` +
      'of the queue; expected maxmemory-policy noeviction.',
  })
}

/** Runs the check until it has passed once. */
function onceTrue(check: () => Promise<void>): () => Promise<void> {
  let passed: Promise<void> | undefined
  return () => {
    passed ??= check().catch((error: unknown) => {
      passed = undefined
      throw error
    })
    return passed
  }
}

/** Tells whether the server still holds what it held: a key that vanishes with the rest, and the id of its run. */
function createSentinel({ redis, ids, key }: { redis: RedisConnection; ids: Ids; key: string }) {
  let known: string | undefined
  return {
    async isIntact(): Promise<boolean> {
      const found = await redis.call(async (client) => {
        const [run, , mark] = await Promise.all([
          client.info('server'),
          client.set(key, ids.randomHex(16), 'NX'),
          client.get(key),
        ])
        return `${/^run_id:(\S+)/m.exec(run)?.[1] ?? ''} ${mark ?? ''}`
      })
      const intact = known === undefined || known === found
      known = found
      return intact
    },
  }
}
