// Follows jobs to their end. The truth about a job is what the server answers when asked; events only tell when asking
// is worth it, and while the stream of events is down jobs are asked after in turn. So nothing is missed with either.

import { isJobEnded, type JobResource } from '@millrace/contract'
import type { Api } from './api.ts'
import { createGate } from './concurrency.ts'
import { createEventFeed } from './event-feed.ts'
import type { Patience } from './retry.ts'

export interface FollowerDependencies extends Patience {
  api: Api
  signal: AbortSignal
  now: () => number
  /** The job as it was before, undefined the first time, and as it is. */
  onUpdate: (before: JobResource | undefined, job: JobResource) => void
}

export interface Follower {
  /** Resolves with the ended job; rejects with the problem of asking, or when the follower is stopped. */
  follow(jobId: string): Promise<JobResource>
  stop(): void
}

interface Followed {
  job: JobResource | undefined
  /** Something happened since it was last read. */
  isStale: boolean
  readAtMs: number
  end: PromiseWithResolvers<JobResource>
}

/** Between two reads of one job, however many events arrive. */
const readEveryMsMin = 250
/** Without events, for one job; many jobs share the same number of requests. */
const pollMs = 1_000
/** With events: an event that was lost somewhere must not leave a command waiting for ever. */
const pollWhileLiveMs = 10_000
const readsAtOnceMax = 4
/** With more jobs than this nobody reads single steps: only their ends are worth a request. */
const jobsInDetailMax = 50
const turnMs = 100

export function createFollower(deps: FollowerDependencies): Follower {
  const { api, now, onUpdate } = deps
  const followed = new Map<string, Followed>()
  const stopped = new AbortController()
  const signal = AbortSignal.any([deps.signal, stopped.signal])
  const gate = createGate(readsAtOnceMax)
  let running: Promise<void> | undefined

  const feed = createEventFeed({
    ...deps,
    onEvent({ job_id: jobId, type }) {
      const item = jobId === undefined ? undefined : followed.get(jobId)
      if (item && (type === 'job.ended' || followed.size <= jobsInDetailMax)) item.isStale = true
    },
    onChange() {
      // What happened while the stream was down is asked for.
      for (const item of followed.values()) item.isStale = true
    },
  })

  async function read(jobId: string, item: Followed): Promise<void> {
    item.isStale = false
    const job = await api.call('getJob', { params: { job_id: jobId }, signal }).catch((error: unknown) => {
      followed.delete(jobId)
      item.end.reject(error)
    })
    if (job === undefined) return
    item.readAtMs = now()
    const before = item.job
    item.job = job
    onUpdate(before, job)
    if (!isJobEnded(job.status)) return
    followed.delete(jobId)
    item.end.resolve(job)
  }

  function isDue({ isStale, readAtMs }: Followed): boolean {
    const ageMs = now() - readAtMs
    const everyMs = feed.isLive ? pollWhileLiveMs : pollMs * Math.max(1, followed.size / jobsInDetailMax)
    return ageMs >= everyMs || (isStale && ageMs >= readEveryMsMin)
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const due = [...followed].filter(([, item]) => isDue(item))
      await Promise.all(due.map(([jobId, item]) => gate(() => read(jobId, item))))
      await deps.sleep(turnMs, signal).catch(() => undefined)
    }
    for (const { end } of followed.values()) end.reject(signal.reason)
  }

  return {
    follow(jobId) {
      const known = followed.get(jobId)
      if (known) return known.end.promise
      const item = {
        job: undefined,
        isStale: true,
        readAtMs: Number.NEGATIVE_INFINITY,
        end: Promise.withResolvers<JobResource>(),
      }
      followed.set(jobId, item)
      // Refused credentials end the feed; asking for the job then tells so to whoever follows it.
      running ??= Promise.all([run(), feed.run(signal).catch(() => undefined)]).then(() => undefined)
      return item.end.promise
    },
    stop: () => stopped.abort(new Error('Following was stopped.')),
  }
}
