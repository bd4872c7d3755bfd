// One experiment: traffic, in the middle of it a fault or two at once, traffic again, perhaps another round of that, the
// end of every job, and the question whether everything that must hold holds.

import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../e2e/jobs.ts'
import { createRandom } from '../fixtures/random.ts'
import type { Fault } from './faults.ts'
import { findFaults, type OutboxEnd } from './invariants.ts'
import { watchLeaders } from './leader-watch.ts'
import type { Rig } from './rig.ts'
import { startTraffic, type Traffic } from './traffic.ts'
import { startWatcher } from './watcher.ts'

export interface Round {
  /** In the list or the sequence that it belongs to. */
  number: number
  /** What happens at the same time. */
  faults: readonly Fault[]
}

export interface Experiment {
  rounds: readonly Round[]
  seed: number
  /** Before the invariants are looked at: what the checker must find is planted here. */
  tamper?: (rig: Rig, prefix: string) => Promise<void>
}

export interface Outcome {
  /** Names of its faults, round by round. */
  rounds: { number: number; faults: string[] }[]
  seed: number
  files: number
  /** Calls of clients that were not answered well at once. */
  failedCalls: number
  calls: number
  leaders: number
  /** From the end of the last fault until all that was acknowledged before has ended, and something new was acknowledged. */
  recoverSeconds: number
  seconds: number
  /** What does not hold. */
  violations: string[]
}

const filesBefore = 4
const filesAfter = 3
const filesMax = 60
const flowDeadlineMs = 60_000
const finishDeadlineMs = 120_000
/** Between the beginnings of two faults. */
const offsetMsMax = 3_000

export async function runExperiment(rig: Rig, { rounds, seed, tamper }: Experiment): Promise<Outcome> {
  const number = rounds[0]?.number ?? 0
  const random = createRandom(seed + number * 7_919)
  const prefix = `chaos-${seed}-${number}-${Date.now() % 1_000_000}`
  const startedMs = Date.now()
  const outboxBefore = await endOfOutbox(rig)
  rig.takeSurprises()
  const watchers = rig.tenants.map(startWatcher)
  await Promise.all(watchers.map(({ ready }) => ready))
  const leaders = watchLeaders(rig.servers)
  const traffic = startTraffic({ tenants: rig.tenants, random, prefix, filesMax: filesMax * rounds.length })
  try {
    const stalled: string[] = []
    const undone: string[] = []
    const flows = (what: string, isSo: () => boolean): Promise<void> =>
      until(what, async () => isSo(), flowDeadlineMs).catch((error: unknown) => void stalled.push(String(error)))
    await flows('files come in before the fault', () => traffic.acknowledgedCount() >= filesBefore)
    let healedMs = 0
    for (const { faults } of rounds) {
      const offsetsMs = faults.map((_, index) => (index === 0 ? 0 : random.below(offsetMsMax)))
      undone.push(...(await runAll(rig, faults, offsetsMs)))
      await rig.heal()
      healedMs = Date.now()
      await flows('files come in after the fault', () => isFlowing(traffic, healedMs))
    }
    await traffic.finish(finishDeadlineMs)
    await leaders.stop()
    await tamper?.(rig, prefix)
    const isQuiet = rounds.every(({ faults }) => faults.every((fault) => fault.isQuiet === true))
    const found = await findFaults({ rig, traffic, watchers, leaders, prefix, outboxBefore, isQuiet })
    return {
      rounds: rounds.map((round) => ({ number: round.number, faults: round.faults.map(({ name }) => name) })),
      seed,
      files: traffic.files.length,
      failedCalls: traffic.calls.filter(({ status }) => status === 0 || status >= 500).length,
      calls: traffic.calls.length,
      leaders: leaders.changesCount(),
      recoverSeconds: recoverMs(traffic, healedMs) / 1_000,
      seconds: (Date.now() - startedMs) / 1_000,
      violations: [...undone, ...stalled, ...found],
    }
  } finally {
    await Promise.all([...watchers.map((watcher) => watcher.stop()), leaders.stop()])
  }
}

/** What a fault could not do is no fault of the product, and is told all the same. */
async function runAll(rig: Rig, faults: readonly Fault[], offsetsMs: readonly number[]): Promise<string[]> {
  const ends = await Promise.allSettled(
    faults.map(async (fault, index) => {
      await delay(offsetsMs[index] ?? 0)
      await fault.run(rig)
    }),
  )
  return ends.flatMap((end, index) =>
    end.status === 'fulfilled' ? [] : [`${faults[index]?.name} could not be done: ${String(end.reason)}`],
  )
}

const isFlowing = ({ files }: Traffic, sinceMs: number): boolean =>
  files.filter(({ acknowledgedAtMs = 0 }) => acknowledgedAtMs > sinceMs).length >= filesAfter

function recoverMs({ files }: Traffic, healedMs: number): number {
  const before = files.filter(({ acknowledgedAtMs = Infinity }) => acknowledgedAtMs <= healedMs)
  const after = files.flatMap(({ acknowledgedAtMs = 0 }) => (acknowledgedAtMs > healedMs ? [acknowledgedAtMs] : []))
  const lastEndMs = Math.max(healedMs, ...before.map(({ endedAtMs = healedMs }) => endedAtMs))
  return Math.max(lastEndMs, after.length > 0 ? Math.min(...after) : healedMs) - healedMs
}

async function endOfOutbox(rig: Rig): Promise<OutboxEnd> {
  const [last] = await rig.servers.query<{ xid: string; id: string }>(
    'select xid::text as xid, id from outbox order by outbox.xid desc, id desc limit 1',
  )
  return last === undefined ? { xid: '0', id: 0 } : { xid: last.xid, id: Number(last.id) }
}
