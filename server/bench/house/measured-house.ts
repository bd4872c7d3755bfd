// The whole product as it is started, with the processor time of all its processes: what a file costs from its first
// byte to its last output stored.

import { readdirSync, readFileSync } from 'node:fs'
import { isJobEnded, type JobState } from '@millrace/contract'
import { readEvents } from '../../../test/e2e/event-reader.ts'
import { openHouse, type House, type HouseOptions } from '../../../test/e2e/house.ts'
import { forEachAtOnce, upload } from '../../../test/e2e/jobs.ts'

export interface MeasuredRun {
  filesCount: number
  seconds: number
  cpuSeconds: number
  /** Milliseconds from the acknowledgement of the upload to the end of the job, sorted. */
  latenciesMs: number[]
}

export interface MeasuredHouse {
  readonly house: House
  /** Uploads so many at once and waits until every job has completed. Throws when one did not. */
  run(files: readonly { name: string; bytes: Uint8Array }[], atOnce: number): Promise<MeasuredRun>
  close(): Promise<void>
}

const runDeadlineMs = 600_000

export async function openMeasuredHouse(options: HouseOptions = {}): Promise<MeasuredHouse> {
  const house = await openHouse(options)
  return {
    house,
    close: () => house.close(),
    async run(files, atOnce) {
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
      const cpuBefore = cpuSecondsOf(house)
      const startMs = performance.now()
      await forEachAtOnce(files, atOnce, async (file) => {
        const { job_id: jobId } = await upload(house.client, file)
        sentMs.set(jobId, performance.now())
      })
      await following
      const seconds = (performance.now() - startMs) / 1_000
      const cpuSeconds = cpuSecondsOf(house) - cpuBefore
      abort.abort()
      for (const [jobId, atMs] of ended) latenciesMs.push(atMs - (sentMs.get(jobId) ?? atMs))
      return { filesCount: files.length, seconds, cpuSeconds, latenciesMs: latenciesMs.sort((a, b) => a - b) }
    },
  }
}

const ticksPerSecond = 100 // USER_HZ of every Linux there is.

/** Processor time of the house's processes, their children of all degrees, and what of these has ended. */
function cpuSecondsOf(house: House): number {
  const processes = new Map<number, { parent: number; ticks: number }>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'utf8')
      // The command, which may contain anything, ends with the last parenthesis.
      const fields = text
        .slice(text.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number)
      const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + (fields[index] ?? 0), 0)
      processes.set(Number(name), { parent: fields[1] ?? 0, ticks })
    } catch {
      // It ended while it was being looked at; its parent has its time.
    }
  }
  const roots = new Set([...house.children().values()].map(({ pid }) => pid))
  const belongs = (pid: number): boolean => {
    for (let at = pid; at > 1; at = processes.get(at)?.parent ?? 0) if (roots.has(at)) return true
    return false
  }
  return [...processes].filter(([pid]) => belongs(pid)).reduce((sum, [, { ticks }]) => sum + ticks, 0) / ticksPerSecond
}

/** The value below which so many of a hundred lie. */
export const percentile = (sorted: readonly number[], percent: number): number =>
  Math.round(sorted[Math.floor(((sorted.length - 1) * percent) / 100)] ?? NaN)

/** A child's processor time and what it made, told by its one message. */
export interface BareReport {
  cpuSeconds: number
  seconds: number
}
