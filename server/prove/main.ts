// npm run prove -- NAME: what the suite proves on a small scale, in full size and with figures.

import { readChoice, readNumber, runCommand, UsageError, type ValuesOf } from '../../test/harness/command-line.ts'
import { findParts, partEnvironment, startServers, type ServerKey } from '../../test/harness/parts.ts'
import { proveCanaries } from '../../test/prove/canaries.ts'
import { proveCutUploads } from '../../test/prove/cut-uploads.ts'
import { proveIdleSockets } from '../../test/prove/idle-sockets.ts'
import { proveNames } from '../../test/prove/names.ts'
import { runCorruptions } from '../src/storage/testing/corruptions.ts'
import { runStoreFaults } from '../src/storage/testing/store-faults.ts'
import { runBatch } from './batch.ts'
import { isBounded, runMonth } from './month.ts'
import type { Proof, ProofOptions } from './proof.ts'
import { runRebalance } from './rebalance.ts'
import { runRotation } from './rotation.ts'
import { runThumbnails } from './thumbnails.ts'

const proofs: Record<string, Proof> = {
  corruptions: {
    summary: 'changes stored bytes and rows of objects: every change is refused, no wrong byte leaves',
    countDefault: 100_000,
    async run({ count, seed }) {
      const report = await runCorruptions({ count, seed })
      return { report, holds: report.detected === report.count && report.faults.length === 0 }
    },
  },
  'store-faults': {
    summary: 'writes and reads on a store that fails, lies, flips bytes and is read back: nothing acknowledged is lost',
    countDefault: 20_000,
    async run({ count, seed }) {
      const report = await runStoreFaults({ operations: count, seed, probability: 0.1 })
      return { report, holds: report.lost === 0 && report.faults.length === 0 }
    },
  },
  rotation: {
    summary: 'turns over the keys of so many objects while they are read',
    countDefault: 100_000,
    uses: ['postgres15'],
    async run({ count }) {
      const report = await runRotation(count)
      const { objects, rewrapped, wrongReads, storedChanged } = report
      return { report, holds: rewrapped === objects && wrongReads === 0 && storedChanged === 0 }
    },
  },
  rebalance: {
    summary: 'a third shard for so many objects on two, used all the time, broken off and begun anew: nothing is lost',
    countDefault: 30_000,
    async run({ count, seed }) {
      const report = await runRebalance({ count, seed })
      return { report, holds: report.faults.length === 0 }
    },
  },
  canaries: {
    summary: 'so many words in contents and names: none lies in clear in store, folders, logs, Redis and most tables',
    countDefault: 10_000,
    splits: true,
    async run({ count, shape }) {
      const report = await proveCanaries({ count, house: { shape } })
      return { report, holds: report.faults.length === 0 }
    },
  },
  batch: {
    summary: 'one batch over so many files, with steps that do nothing, while another tenant sends single files',
    countDefault: 100_000,
    uses: ['postgres15'],
    async run({ count, minutesMax, tell }) {
      const report = await runBatch({ filesCount: count, minutesMax, tell })
      const { files, succeeded, ended, memoryMb, other } = report
      const isFlat = memoryMb.secondHalfMost < memoryMb.firstHalfMost * 1.3
      return { report, holds: (succeeded === files || !ended) && isFlat && other.ended === other.jobs }
    },
  },
  'batch-thumbnails': {
    summary: 'the same with real pictures, on the product as it is started',
    countDefault: 1_000,
    uses: ['postgres15'],
    async run({ count, tell }) {
      const report = await runThumbnails(count, tell)
      return { report, holds: report.succeeded === report.files }
    },
  },
  month: {
    summary: 'thirty days of so many files each on compressed time: no table grows; how long statements take is told',
    countDefault: 20_000,
    uses: ['postgres15'],
    async run({ count, tell }) {
      const report = await runMonth(count, tell)
      return { report, holds: isBounded(report) }
    },
  },
  'idle-sockets': {
    summary: 'so many connections that trickle or are silent: others are answered as before, and they are ended',
    countDefault: 10_000,
    splits: true,
    async run({ count, shape, tell }) {
      const report = await proveIdleSockets({ count, house: { shape }, tell })
      return { report, holds: report.faults.length === 0 }
    },
  },
  names: {
    summary:
      'so many hostile names by form, tus and parts: kept to the letter, and never a path, a header or a command',
    countDefault: 2_000,
    splits: true,
    async run({ count, seed, shape }) {
      const report = await proveNames({ count, seed, house: { shape } })
      return { report, holds: report.faults.length === 0 }
    },
  },
  'cut-uploads': {
    summary: 'so many megabytes by tus-js-client, and again by Uppy, over a line that is cut 50 times each',
    countDefault: 2_048,
    splits: true,
    async run({ count, seed, shape, tell }) {
      const { faults, ...report } = await proveCutUploads({
        sizeBytes: count * 1024 ** 2,
        seed,
        house: { shape },
        tell,
      })
      return { report: { ...report, faults }, holds: faults.length === 0 }
    },
  },
}

const splitParts = ['postgres15', 'valkey', 'seaweedfs'] as const satisfies readonly ServerKey[]

const nameWidth = Math.max(...Object.keys(proofs).map((name) => name.length))
const usage = `npm run prove -- NAME [--count N] [--seed N] [--minutes N] [--shape one-process|split]

${Object.entries(proofs)
  .map(([name, { summary, countDefault }]) => `  ${name.padEnd(nameWidth)}  ${summary} (--count ${countDefault})`)
  .join('\n')}

It ends with 1 when something was not as it should be, and with 2 when it does not understand what it is asked.`

const options = {
  count: { type: 'string' },
  seed: { type: 'string' },
  minutes: { type: 'string' },
  shape: { type: 'string', default: 'one-process' },
  list: { type: 'boolean' },
} as const

async function prove(values: ValuesOf<typeof options>, [name]: string[]): Promise<number> {
  if (values.list === true) {
    console.log(usage)
    return 0
  }
  if (name === undefined) throw new UsageError('Name a proof.')
  const proof = Object.hasOwn(proofs, name) ? proofs[name] : undefined
  if (proof === undefined) throw new UsageError(`There is no proof "${name}".`)
  const shape = readChoice('shape', values.shape, ['one-process', 'split'])
  if (shape === 'split' && proof.splits !== true) throw new UsageError(`"${name}" runs in one process only.`)
  const count = readNumber('count', values.count) ?? proof.countDefault
  const seed = readNumber('seed', values.seed, { min: 0 }) ?? Date.now() % 1_000_000
  const minutesMax = readNumber('minutes', values.minutes, { fractions: true, min: 0 }) ?? Infinity
  return run(name, proof, { count, seed, minutesMax, shape, tell: (line) => console.log(line) })
}

async function run(name: string, proof: Proof, order: ProofOptions): Promise<number> {
  const { seed, shape } = order
  const isNamed = (key: ServerKey): boolean =>
    key === 'postgres15' && process.env['MILLRACE_TEST_DATABASE_URL'] !== undefined
  const uses = [...(proof.uses ?? []), ...(shape === 'split' ? splitParts : [])].filter((key) => !isNamed(key))
  const { states, stop } = await startServers(await findParts(), uses)
  for (const key of uses) {
    const state = states[key]
    console.log(`${key}: ${state.state === 'here' ? state.version : `missing, ${state.why.split('\n')[0]}`}`)
  }
  Object.assign(process.env, partEnvironment(states, uses))
  const started = performance.now()
  try {
    console.log(`seed ${seed}`)
    const { report, holds } = await proof.run(order)
    console.log(JSON.stringify(report, null, 2))
    const seconds = ((performance.now() - started) / 1_000).toFixed(1)
    console.log(`${name}, seed ${seed}, ${seconds} s: ${holds ? 'proved' : 'NOT proved'}`)
    return holds ? 0 : 1
  } finally {
    await stop()
  }
}

process.exitCode = await runCommand(process.argv.slice(2), { usage, options, namesMax: 1, run: prove })
