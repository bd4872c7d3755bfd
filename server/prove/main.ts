// npm run prove -- NAME: what the suite proves on a small scale, in full size and with figures.

import { parseArgs } from 'node:util'
import { runCorruptions } from '../src/storage/testing/corruptions.ts'
import { runStoreFaults } from '../src/storage/testing/store-faults.ts'
import { runRotation } from './rotation.ts'

const help = `npm run prove -- NAME [--count N] [--seed N]

  corruptions   changes stored bytes and rows of objects (100,000 times): every change is refused, no wrong byte leaves
  store-faults  writes and reads (20,000 times) on a store that fails and lies: nothing acknowledged is lost
  rotation      turns over the keys of 100,000 objects while they are read

It ends with 1 when something was not as it should be.`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { count: { type: 'string' }, seed: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
})

async function main(): Promise<number> {
  const [name] = positionals
  const seed = Number(values.seed ?? Date.now() % 1_000_000)
  const count = (otherwise: number): number => Number(values.count ?? otherwise)
  const started = performance.now()
  const told = (report: object, holds: boolean): number => {
    console.log(JSON.stringify(report, null, 2))
    console.log(
      `seed ${seed}, ${((performance.now() - started) / 1_000).toFixed(1)} s: ${holds ? 'proved' : 'NOT proved'}`,
    )
    return holds ? 0 : 1
  }
  switch (name) {
    case 'corruptions': {
      const report = await runCorruptions({ count: count(100_000), seed })
      return told(report, report.detected === report.count && report.faults.length === 0)
    }
    case 'store-faults': {
      const report = await runStoreFaults({ operations: count(20_000), seed, probability: 0.1 })
      return told(report, report.lost === 0 && report.faults.length === 0)
    }
    case 'rotation': {
      const report = await runRotation(count(100_000))
      const { objects, rewrapped, wrongReads, storedChanged } = report
      return told(report, rewrapped === objects && wrongReads === 0 && storedChanged === 0)
    }
    default:
      console.log(help)
      return values.help === true ? 0 : 1
  }
}

process.exitCode = await main()
