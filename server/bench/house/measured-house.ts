// The whole product as it is started, with the processor time of all its processes: what a file costs from its first
// byte to its last output stored.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { isJobEnded, type JobState } from '@millrace/contract'
import { readEvents } from '../../../test/e2e/event-reader.ts'
import { openHouse, type House, type HouseOptions } from '../../../test/e2e/house.ts'
import { forEachAtOnce, upload, type UploadFields } from '../../../test/e2e/jobs.ts'
import { countProcessorTime } from './processor-time.ts'

export interface MeasuredRun {
  filesCount: number
  seconds: number
  cpuSeconds: number
  /** Milliseconds from the acknowledgement of the upload to the end of the job, sorted. */
  latenciesMs: number[]
}

export interface MeasuredHouse {
  readonly house: House
  /** How its processor time is counted. */
  readonly timeSource: string
  /** Uploads so many at once and waits until every job has completed. Throws when one did not. */
  run(
    files: readonly { name: string; bytes: Uint8Array }[],
    atOnce: number,
    fields?: UploadFields,
  ): Promise<MeasuredRun>
  /** Processor time of all its processes so far. */
  cpuSeconds(): number
  close(): Promise<void>
}

const runDeadlineMs = 600_000

export async function openMeasuredHouse(options: HouseOptions = {}): Promise<MeasuredHouse> {
  const house = await openHouse(options)
  const processorTime = countProcessorTime([...house.children().values()].map(({ pid }) => pid))
  return {
    house,
    timeSource: processorTime.source,
    async close() {
      await house.close()
      processorTime.close()
    },
    cpuSeconds: () => processorTime.seconds(),
    async run(files, atOnce, fields) {
      const sentMs = new Map<string, number>()
      const latenciesMs: number[] = []
      const abort = new AbortController()
      const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(runDeadlineMs)])
      const events = await house.client.stream('tenantEvents', { signal })
      const ended = new Map<string, number>()
      const following = (async () => {
        for await (const { event } of readEvents(events)) {
          if (event.type !== 'job.ended' || event.job_id === undefined) continue
          const state = (event.data['status'] ?? event.data['state'] ?? 'completed') as JobState
          if (isJobEnded(state) && state !== 'completed') throw new Error(`${event.job_id} ended as ${state}`)
          ended.set(event.job_id, performance.now())
          if (ended.size >= files.length) return
        }
      })()
      const cpuBefore = processorTime.seconds()
      const startMs = performance.now()
      await forEachAtOnce(files, atOnce, async (file) => {
        const { job_id: jobId } = await upload(house.client, file, fields)
        sentMs.set(jobId, performance.now())
      })
      await following
      const seconds = (performance.now() - startMs) / 1_000
      const cpuSeconds = processorTime.seconds() - cpuBefore
      abort.abort()
      for (const [jobId, atMs] of ended) latenciesMs.push(atMs - (sentMs.get(jobId) ?? atMs))
      return { filesCount: files.length, seconds, cpuSeconds, latenciesMs: latenciesMs.sort((a, b) => a - b) }
    },
  }
}

/** The value below which so many of a hundred lie. */
export const percentile = (sorted: readonly number[], percent: number): number =>
  Math.round(sorted[Math.floor(((sorted.length - 1) * percent) / 100)] ?? NaN)

/** A child's processor time and what it made, told by its one message. */
export interface BareReport {
  cpuSeconds: number
  seconds: number
}

/** What a peer in a process of its own has to tell. Rejects when it ends without a word. */
export async function reportOf(peer: ChildProcess): Promise<BareReport> {
  const ended = once(peer, 'exit').then(([code]: unknown[]): never => {
    throw new Error(`the peer ended with ${String(code)} and told nothing`)
  })
  const [report] = await Promise.race([once(peer, 'message'), ended])
  return report as BareReport // Written by the peer's own file.
}
