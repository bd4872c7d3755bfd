// One thread of the command: plays its share and tells what it found.

import { parentPort, workerData } from 'node:worker_threads'
import { invariant } from '../../platform/problem.ts'
import type { Caught, Prey, Tally, ThreadMessage, ThreadOrders } from './arguments.ts'
import { openHistories } from './histories.ts'
import { plantedBugs } from './planted-bugs.ts'

/** A bug that so many histories do not show is not caught. */
const huntCountMax = 3_000
const huntAtOnceCount = 4
const tallyMs = 1_000

/** Stacks of the thousands of errors that are planned cost more than the engine. */
Error.stackTraceLimit = 0

const tell = (message: ThreadMessage): void => {
  // A thread's port knows no origins.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  parentPort?.postMessage(message)
}

function* everySo(first: number, step: number, count: number): Generator<number> {
  for (let number = first; number < count; number += step) yield number
}

async function play(orders: ThreadOrders): Promise<void> {
  const bug = plantedBugs.find(({ name }) => name === orders.bug)
  const histories = await openHistories({ seed: orders.seed, ...(bug && { bug }) })
  let tally = emptyTally()
  let toldAtMs = performance.now()
  const untilMs = performance.now() + orders.untilMs
  let isViolated = false
  await histories.play(
    everySo(orders.first, orders.step, orders.count),
    (result) => {
      tally.historiesCount += 1
      tally.jobsCount += result.jobsCount
      tally.eventsCount += result.eventsCount
      tally.simulatedMs += result.simulatedMs
      if (result.violation !== undefined && !isViolated) {
        isViolated = true
        tell({ kind: 'violated', history: result.number, violation: result.violation })
      }
      if (performance.now() - toldAtMs < tallyMs) return
      tell({ kind: 'tally', tally })
      tally = emptyTally()
      toldAtMs = performance.now()
    },
    () => !isViolated && performance.now() < untilMs,
  )
  tell({ kind: 'tally', tally })
}

const emptyTally = (): Tally => ({ historiesCount: 0, jobsCount: 0, eventsCount: 0, simulatedMs: 0 })

async function hunt({ name, seed }: Prey): Promise<Caught> {
  const bug = plantedBugs.find((each) => each.name === name)
  invariant(bug, 'who hunts takes the names from the list')
  const histories = await openHistories({ seed, bug, atOnceCount: huntAtOnceCount })
  let after = 0
  let caught: Caught | undefined
  await histories.play(
    everySo(0, 1, huntCountMax),
    ({ number, violation }) => {
      after += 1
      if (violation !== undefined) caught ??= { bug: name, seed, after, history: number, violation }
    },
    () => caught === undefined,
  )
  return caught ?? { bug: name, seed }
}

const orders = workerData as ThreadOrders // Handed over by main.ts.
if (orders.hunt.length === 0) await play(orders)
for (const prey of orders.hunt) tell({ kind: 'caught', caught: await hunt(prey) })
