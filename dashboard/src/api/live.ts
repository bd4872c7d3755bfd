// Brings the stream of events into the query cache: patches what is shown at once, reads again what a patch cannot
// express, each job at most once in a while however many events arrive. While the stream is down, pages poll.

import type { EventResource, JobResource, JobSummary } from '@millrace/contract'
import type { InfiniteData, QueryClient } from '@tanstack/react-query'
import { useEffect, useSyncExternalStore } from 'react'
import { useApi, type Api } from '../api.ts'
import type { ConnectionState } from './event-stream.ts'
import { applyToJob, applyToSummary, refetchAfter } from './job-events.ts'

const jobRefetchEveryMs = 700
const listRefetchEveryMs = 1_500
/** Also while live: an answer that was lost somewhere must not leave a page wrong for ever. */
const safetyPollMs = 20_000
const pollFirstMs = 2_000
const pollMaxMs = 15_000

type JobPages = InfiniteData<{ items: JobSummary[]; next_cursor: string | null }>

/** Follows the tenant's events for as long as the component is mounted. */
export function useLiveEvents(queryClient: QueryClient): void {
  const api = useApi()
  useEffect(() => followEvents(api, queryClient), [api, queryClient])
}

/** How the stream of events stands. */
export function useConnection(): ConnectionState {
  const { events } = useApi()
  return useSyncExternalStore(events.subscribe, events.getState)
}

/** How often what is still changing should be read anew: rarely while events arrive, with backoff while they do not. */
export function usePollIntervalMs(): number {
  return pollIntervalMs(useConnection())
}

/** See usePollIntervalMs. */
export function pollIntervalMs(connection: ConnectionState): number {
  if (connection.kind === 'live') return safetyPollMs
  const failuresCount = 'failuresCount' in connection ? connection.failuresCount : 0
  return Math.min(pollFirstMs * 2 ** Math.max(failuresCount - 1, 0), pollMaxMs)
}

function followEvents(api: Api, queryClient: QueryClient): () => void {
  const { events } = api
  const refetches = createThrottle()

  const unlisten = events.onEvent((event) => {
    if (event.job_id) patchJob(queryClient, event.job_id, event)
    const again = refetchAfter(event)
    const { job_id: jobId, file_id: fileId } = event
    if (again.job && jobId) {
      refetches.run(jobId, jobRefetchEveryMs, () => void queryClient.invalidateQueries({ queryKey: ['job', jobId] }))
    }
    if (fileId && event.type.startsWith('file.')) {
      refetches.run(fileId, jobRefetchEveryMs, () => void queryClient.invalidateQueries({ queryKey: ['file', fileId] }))
    }
    if (again.lists) {
      refetches.run('lists', listRefetchEveryMs, () => void queryClient.invalidateQueries({ queryKey: ['jobs'] }))
    }
  })

  let wasDown = false
  const unsubscribe = events.subscribe(() => {
    const { kind } = events.getState()
    // What happened while the stream was down may lie before what it can resume.
    if (kind === 'live' && wasDown) void queryClient.invalidateQueries({ refetchType: 'active' })
    if (kind !== 'connecting') wasDown = kind === 'waiting'
  })
  const retryNow = () => events.retryNow()
  window.addEventListener('online', retryNow)
  events.start()

  return () => {
    events.stop()
    unlisten()
    unsubscribe()
    window.removeEventListener('online', retryNow)
    refetches.clear()
  }
}

function patchJob(queryClient: QueryClient, jobId: string, event: EventResource): void {
  queryClient.setQueryData<JobResource>(['job', jobId], (job) => (job ? applyToJob(job, event) : undefined))
  queryClient.setQueriesData<JobPages>({ queryKey: ['jobs'] }, (pages) => pages && patchPages(pages, jobId, event))
}

function patchPages(pages: JobPages, jobId: string, event: EventResource): JobPages {
  let changed = false
  const next = pages.pages.map((page) => {
    const index = page.items.findIndex((job) => job.job_id === jobId)
    const job = page.items[index]
    if (!job) return page
    const patched = applyToSummary(job, event)
    if (patched === job) return page
    changed = true
    return { ...page, items: page.items.with(index, patched) }
  })
  return changed ? { ...pages, pages: next } : pages
}

interface Throttle {
  /** Runs the work at once, or once at the end of the pause since the last run of the same key. */
  run(key: string, everyMs: number, work: () => void): void
  clear(): void
}

function createThrottle(): Throttle {
  const pauses = new Map<string, { timer: ReturnType<typeof setTimeout>; again: boolean }>()

  function run(key: string, everyMs: number, work: () => void): void {
    const pause = pauses.get(key)
    if (pause) {
      pause.again = true
      return
    }
    work()
    const timer = setTimeout(() => {
      const { again } = pauses.get(key) ?? { again: false }
      pauses.delete(key)
      if (again) run(key, everyMs, work)
    }, everyMs)
    pauses.set(key, { timer, again: false })
  }

  return {
    run,
    clear() {
      for (const { timer } of pauses.values()) clearTimeout(timer)
      pauses.clear()
    },
  }
}
