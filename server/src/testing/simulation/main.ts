// npm run simulate: many histories on all processors, one of them again, or all planted bugs.

import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { runCommand, UsageError } from '../../../../test/harness/command-line.ts'
import {
  defaultSeed,
  help,
  options,
  readArguments,
  type Arguments,
  type Caught,
  type Tally,
  type ThreadMessage,
  type ThreadOrders,
} from './arguments.ts'
import { openHistories } from './histories.ts'
import { plantedBugs } from './planted-bugs.ts'
import { toBugList } from './bug-list.ts'

const reportMs = 10_000
/** Young objects are nearly all there are; room for them saves collections. */
const youngMegabytes = 64
const say = (line: string): void => void process.stdout.write(`${line}\n`)

async function runThreads(all: readonly ThreadOrders[], hear: (message: ThreadMessage) => void): Promise<void> {
  await Promise.all(
    all.map(
      (orders) =>
        new Promise<void>((resolve, reject) => {
          const thread = new Worker(new URL('./thread.ts', import.meta.url), {
            workerData: orders,
            resourceLimits: { maxYoungGenerationSizeMb: youngMegabytes },
          })
          thread.on('message', hear)
          thread.on('error', reject)
          thread.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`A thread ended with ${code}.`))))
        }),
    ),
  )
}

async function playMany(args: Arguments): Promise<boolean> {
  const { seed = defaultSeed, bug, historiesCount: count, minutes } = args
  const step = args.threadsCount ?? availableParallelism()
  const total: Tally = { historiesCount: 0, jobsCount: 0, eventsCount: 0, simulatedMs: 0 }
  const started = performance.now()
  let violated: Extract<ThreadMessage, { kind: 'violated' }> | undefined
  const report = (): void => {
    const seconds = (performance.now() - started) / 1_000
    const { historiesCount, jobsCount, eventsCount, simulatedMs } = total
    say(
      `${historiesCount} histories of ${jobsCount} jobs, ${eventsCount} events in ${(simulatedMs / 3_600_000).toFixed(1)} simulated hours; ` +
        `${(historiesCount / seconds).toFixed(0)} histories and ${(jobsCount / seconds).toFixed(0)} jobs a second for ${seconds.toFixed(0)} s`,
    )
  }
  const reporting = setInterval(report, reportMs)
  say(`seed ${seed}, ${step} threads${bug === undefined ? '' : `, planted bug ${bug}`}`)
  const orders = Array.from({ length: step }, (_, first) => ({
    seed,
    bug,
    first,
    step,
    count,
    hunt: [],
    untilMs: minutes * 60_000,
  }))
  await runThreads(orders, (message) => {
    if (message.kind === 'violated' && (violated === undefined || message.history < violated.history))
      violated = message
    if (message.kind !== 'tally') return
    for (const key of Object.keys(total) as (keyof Tally)[]) total[key] += message.tally[key] // Its own keys.
  })
  clearInterval(reporting)
  report()
  if (violated === undefined) {
    say('no invariant was violated')
    return true
  }
  const { history, violation } = violated
  say(`VIOLATED ${violation.invariant} in history ${history} at ${violation.atMs.toFixed(1)} ms: ${violation.detail}`)
  say(`npm run simulate -- --seed ${seed} --replay ${history}${bug === undefined ? '' : ` --bug ${bug}`}`)
  return false
}

/** Twice, because a history that is not the same again is worth nothing. */
async function replay({ seed = defaultSeed, bug: name }: Arguments, number: number): Promise<boolean> {
  const bug = plantedBugs.find((each) => each.name === name)
  const traced = await openHistories({ seed, isTraced: true, ...(bug && { bug }) })
  const hashes: string[] = []
  let isGood = true
  for (const isLast of [false, true]) {
    await traced.play([number], ({ lines, hash, violation, jobsCount }) => {
      hashes.push(hash)
      if (!isLast) return
      for (const line of lines) say(line)
      say(`history ${number} of seed ${seed}: ${jobsCount} jobs, hash ${hash}`)
      if (violation === undefined) return
      isGood = false
      say(`VIOLATED ${violation.invariant}: ${violation.detail}`)
    })
  }
  if (new Set(hashes).size === 1) return isGood
  say(`NOT THE SAME AGAIN: ${hashes.join(', ')}`)
  return false
}

async function huntAll(args: Arguments): Promise<boolean> {
  const step = args.threadsCount ?? availableParallelism()
  const prey = plantedBugs.map(({ name, seed }) => ({ name, seed: args.seed ?? seed }))
  const caught = new Map<string, Caught>()
  const orders = Array.from({ length: step }, (_, first) => ({
    seed: defaultSeed,
    bug: undefined,
    first,
    step,
    count: 0,
    untilMs: 0,
    hunt: prey.filter((_, index) => index % step === first),
  }))
  await runThreads(orders, (message) => {
    if (message.kind !== 'caught') return
    const { bug, seed, after, violation } = message.caught
    caught.set(bug, message.caught)
    say(
      violation
        ? `caught ${bug} by ${violation.invariant} with seed ${seed} after ${after}: ${violation.detail}`
        : `MISSED ${bug}`,
    )
  })
  const missed = prey.filter(({ name }) => caught.get(name)?.violation === undefined)
  say(`${prey.length - missed.length} of ${prey.length} planted bugs were caught`)
  if (args.listFile !== undefined) await writeFile(args.listFile, toBugList(caught))
  return missed.length === 0
}

async function simulate(args: Arguments): Promise<number> {
  const isKnown = args.bug === undefined || args.bug === 'all' || plantedBugs.some(({ name }) => name === args.bug)
  if (!isKnown)
    throw new UsageError(`There is no planted bug "${args.bug}": ${plantedBugs.map(({ name }) => name).join(', ')}.`)
  if (args.replay !== undefined) return (await replay(args, args.replay)) ? 0 : 1
  const isGood = await (args.bug === 'all' ? huntAll(args) : playMany(args))
  return isGood ? 0 : 1
}

process.exitCode = await runCommand(process.argv.slice(2), {
  usage: help,
  options,
  namesMax: 0,
  run: (values) => simulate(readArguments(values)),
})
