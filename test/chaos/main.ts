// npm run chaos -- kill: faults on the real product, in full size, with a report.

import { parseArgs } from 'node:util'
import { findParts, partEnvironment, startServers } from '../harness/parts.ts'
import { runKillStorm } from './kill-storm.ts'

const help = `npm run chaos -- kill [--files N] [--kills N] [--seed N] [--shape one-process|split]

Kills the product (kill -9) at random moments while files come in, and checks that every file has ended, none is lost and
none was done twice. The seed of a run is printed; the same seed kills the same processes after the same pauses.`

const splitParts = ['postgres15', 'valkey', 'seaweedfs'] as const

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    files: { type: 'string', default: '500' },
    kills: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    shape: { type: 'string', default: 'one-process' },
    help: { type: 'boolean', short: 'h' },
  },
})

async function main(): Promise<number> {
  if (values.help === true || positionals[0] !== 'kill') {
    console.log(help)
    return values.help === true ? 0 : 1
  }
  const isSplit = values.shape === 'split'
  const found = await findParts()
  const { states, stop } = isSplit
    ? await startServers(found, splitParts)
    : { states: found, stop: async () => undefined }
  if (isSplit) Object.assign(process.env, partEnvironment(states, splitParts))
  try {
    console.log(`seed ${values.seed}`)
    const started = performance.now()
    const result = await runKillStorm({
      filesCount: Number(values.files),
      killsCount: Number(values.kills),
      seed: Number(values.seed),
      house: { shape: isSplit ? 'split' : 'one-process' },
      report: (line) => console.log(line),
    })
    const { doctor, ended, faults } = result
    console.log(
      `\n${values.files} files, ${result.killsCount} kills, ${((performance.now() - started) / 1_000).toFixed(0)} s`,
    )
    console.log(
      `jobs        ${Object.entries(ended)
        .map(([state, count]) => `${count} ${state}`)
        .join(', ')}`,
    )
    console.log(`doctor      ${doctor.healthy ? 'healthy' : 'NOT healthy'}: ${JSON.stringify(doctor.jobs)}`)
    for (const { severity, code, detail } of doctor.findings) console.log(`            ${severity} ${code}: ${detail}`)
    console.log(`store       ${result.storedObjectsCount} objects, ${result.referencedObjectsCount} referred to`)
    for (const fault of faults) console.log(`FAULT       ${fault}`)
    console.log(
      `seed ${values.seed}: ${faults.length === 0 ? 'nothing lost, nothing twice' : `${faults.length} faults`}`,
    )
    return faults.length === 0 ? 0 : 1
  } finally {
    await stop()
  }
}

process.exitCode = await main()
