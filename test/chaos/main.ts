// npm run chaos: faults on the real product, in full size, with a report.

import { writeFile } from 'node:fs/promises'
import { readChoice, readNumber, runCommand, UsageError, type ValuesOf } from '../harness/command-line.ts'
import { findParts, partEnvironment, startServers } from '../harness/parts.ts'
import { runExperiment, type Round } from './experiment.ts'
import { faults } from './faults.ts'
import { runKillStorm } from './kill-storm.ts'
import { planNamed, planPairs, planSingles } from './plan.ts'
import { readReport, summarise, toTable, writeReport, type Report } from './report.ts'
import { openRig } from './rig.ts'
import { postgresVersions, storeNames } from './servers.ts'

const help = `npm run chaos -- NAME [--seed N] [--postgres 15|18] [--store seaweedfs|versitygw]
npm run chaos -- singles | pairs [--count N] [--rounds N] [--from N] [--to N] [--minutes N] [--report FILE]
npm run chaos -- kill [--files N] [--kills N] [--shape one-process|split]
npm run chaos -- --list

NAME        one fault, or several at once as pg-frozen+redis-flush, on the platform split by role over real servers, while
            clients of several tenants upload, cancel and retry. At the end every invariant is looked at.
singles     every fault of the list by itself
pairs       pairs of them, drawn from the seed (60)
kill        kills the product (kill -9) at random moments while files come in

--rounds N has N of them happen one after the other before the invariants are looked at, which takes less time.
The seed of a run is printed; the same seed gives the same faults. --minutes ends a turn; the next one with the same
report goes on where it ended, and --from and --to choose by number.`

const options = {
  files: { type: 'string', default: '500' },
  kills: { type: 'string', default: '20' },
  seed: { type: 'string' },
  shape: { type: 'string', default: 'one-process' },
  count: { type: 'string', default: '60' },
  rounds: { type: 'string', default: '1' },
  from: { type: 'string', default: '1' },
  to: { type: 'string' },
  minutes: { type: 'string', default: '600' },
  report: { type: 'string' },
  postgres: { type: 'string', default: '15' },
  store: { type: 'string', default: 'seaweedfs' },
  logs: { type: 'string' },
  list: { type: 'boolean', short: 'l' },
} as const

type Values = ValuesOf<typeof options>

const print = (line: string): void => console.log(line)

function readOrder(values: Values) {
  const { files, kills, count, rounds, from, to, minutes, shape, postgres, store, report, logs } = values
  return {
    filesCount: readNumber('files', files),
    killsCount: readNumber('kills', kills, { min: 0 }),
    seed: readNumber('seed', values.seed, { min: 0 }) ?? Date.now() % 1_000_000,
    shape: readChoice('shape', shape, ['one-process', 'split']),
    pairsCount: readNumber('count', count),
    roundsCount: readNumber('rounds', rounds),
    from: readNumber('from', from),
    to: readNumber('to', to) ?? Infinity,
    minutes: readNumber('minutes', minutes, { min: 0, fractions: true }),
    servers: {
      postgres: readChoice('postgres', postgres, postgresVersions),
      store: readChoice('store', store, storeNames),
    },
    report,
    logs,
  }
}
type Order = ReturnType<typeof readOrder>

async function chaos(values: Values, [name]: string[]): Promise<number> {
  if (values.list === true) {
    listFaults()
    return 0
  }
  if (name === undefined) throw new UsageError('Name a fault, or singles, pairs or kill.')
  const order = readOrder(values)
  if (name === 'kill') return storm(order)
  const plan = planOf(name, order)
  if (plan === undefined)
    throw new UsageError(`There is no fault "${name}" that this machine can have; --list names them all.`)
  return runPlan(name, plan, order)
}

function listFaults(): void {
  const width = Math.max(...faults.map(({ name }) => name.length))
  for (const { name, what, missing } of faults)
    print(`${name.padEnd(width)}  ${what}${missing === undefined ? '' : ` (not here: ${missing})`}`)
  print(`\n${faults.length} faults`)
}

function planOf(name: string, { pairsCount, seed }: Order): Round[] | undefined {
  if (name === 'singles') return planSingles()
  if (name === 'pairs') return planPairs(pairsCount, seed)
  const round = planNamed(name)
  return round && [round]
}

async function runPlan(name: string, plan: readonly Round[], order: Order): Promise<number> {
  const { servers: choice, report: file, seed, from, to, logs } = order
  const known = file === undefined ? [] : await readReport(file, { plan: name, seed })
  const outcomes = [...known]
  const done = new Set(known.flatMap(({ rounds }) => rounds.map(({ number }) => number)))
  const left = plan.filter(({ number }) => number >= from && number <= to && !done.has(number))
  const report = (): Report => ({
    plan: name,
    seed,
    on: `PostgreSQL ${choice.postgres}, Valkey and ${choice.store}`,
    outcomes,
  })
  const endMs = Date.now() + order.minutes * 60_000
  print(`seed ${seed}: ${left.length} of ${plan.length} faults or pairs`)
  const rig = await openRig(choice)
  try {
    while (left.length > 0) {
      if (Date.now() > endMs) {
        print('The time of this turn is up; the next one goes on from here.')
        break
      }
      const outcome = await runExperiment(rig, { rounds: left.splice(0, order.roundsCount), seed })
      outcomes.push(outcome)
      print(toTable([outcome])[1] ?? '')
      for (const violation of outcome.violations.slice(0, 12)) print(`    ${violation}`)
      if (file !== undefined) await writeReport(file, report())
    }
    for (const line of ['', ...summarise(report())]) print(line)
    return outcomes.every(({ violations }) => violations.length === 0) ? 0 : 1
  } finally {
    if (logs !== undefined) await writeFile(logs, await rig.logs())
    await rig.close()
  }
}

const splitParts = ['postgres15', 'valkey', 'seaweedfs'] as const

async function storm({ filesCount, killsCount, seed, shape }: Order): Promise<number> {
  const isSplit = shape === 'split'
  const found = await findParts()
  const { states, stop } = isSplit
    ? await startServers(found, splitParts)
    : { states: found, stop: async () => undefined }
  if (isSplit) Object.assign(process.env, partEnvironment(states, splitParts))
  try {
    print(`seed ${seed}`)
    const started = performance.now()
    const result = await runKillStorm({
      filesCount,
      killsCount,
      seed,
      house: { shape },
      report: print,
    })
    const { doctor, ended } = result
    const seconds = ((performance.now() - started) / 1_000).toFixed(0)
    print(`\n${filesCount} files, ${result.killsCount} kills, ${seconds} s`)
    const counts = Object.entries(ended).map(([state, count]) => `${count} ${state}`)
    print(`jobs        ${counts.join(', ')}`)
    print(`doctor      ${doctor.healthy ? 'healthy' : 'NOT healthy'}: ${JSON.stringify(doctor.jobs)}`)
    for (const { severity, code, detail } of doctor.findings) print(`            ${severity} ${code}: ${detail}`)
    print(`store       ${result.storedObjectsCount} objects, ${result.referencedObjectsCount} referred to`)
    for (const fault of result.faults) print(`FAULT       ${fault}`)
    const { length } = result.faults
    print(`seed ${seed}: ${length === 0 ? 'nothing lost, nothing twice' : `${length} faults`}`)
    return length === 0 ? 0 : 1
  } finally {
    await stop()
  }
}

process.exitCode = await runCommand(process.argv.slice(2), { usage: help, options, namesMax: 1, run: chaos })
