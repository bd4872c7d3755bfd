// npm run bench: lists and runs the benchmarks of this folder. Unlike the product this finds its parts by their names,
// because a benchmark is a program of its own that nothing else depends on.

import { readdir } from 'node:fs/promises'
import os from 'node:os'
import { runCommand, UsageError, type ValuesOf } from '../../test/harness/command-line.ts'
import { findParts, partEnvironment, startServers } from '../../test/harness/parts.ts'
import type { Benchmark, Row } from './benchmark.ts'

const help = `npm run bench -- --list
npm run bench -- NAME… [--json] [--full]

Each benchmark runs its peer, the bare library or another product, in the same run; read the ratios, not the figures.`

const ending = '.bench.ts'

async function loadBenchmarks(): Promise<Benchmark[]> {
  const folder = new URL('.', import.meta.url)
  const names = (await readdir(folder)).filter((name) => name.endsWith(ending)).sort((a, b) => a.localeCompare(b))
  return Promise.all(
    names.map(async (name) => {
      const { benchmark } = (await import(new URL(name, folder).href)) as { benchmark?: Benchmark }
      if (benchmark?.name !== name.slice(0, -ending.length)) throw new Error(`${name} exports no benchmark of its name`)
      return benchmark
    }),
  )
}

const known = await loadBenchmarks()

const list = (): string => {
  const width = Math.max(...known.map(({ name }) => name.length))
  return known.map(({ name, summary }) => `${name.padEnd(width)}  ${summary}`).join('\n')
}

const options = {
  list: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  full: { type: 'boolean', default: false },
} as const

async function bench(values: ValuesOf<typeof options>, names: string[]): Promise<number> {
  if (values.list) {
    console.log(list())
    return 0
  }
  if (names.length === 0) throw new UsageError('Name a benchmark.')
  const chosen = names.map((word) => {
    const found = known.find(({ name }) => name === word)
    if (found === undefined) throw new UsageError(`There is no benchmark "${word}".`)
    return found
  })
  for (const benchmark of chosen) await runOne(benchmark, values)
  return 0
}

async function runOne(benchmark: Benchmark, { json, full }: { json: boolean; full: boolean }): Promise<void> {
  const { name, summary, uses = [] } = benchmark
  const tell = json ? console.error : console.log
  tell(`${name}: ${summary}`)
  const found = await findParts()
  const { states, stop } = await startServers(found, uses)
  for (const key of uses) {
    const state = states[key]
    if (state.state === 'missing') tell(`without ${key}: ${state.why.split('\n')[0]}`)
  }
  Object.assign(process.env, partEnvironment(states, uses))
  const started = performance.now()
  const loadBefore = os.loadavg()[0] ?? 0
  try {
    const { rows, notes = [] } = await benchmark.run({ full })
    const machine = {
      node: process.version,
      cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
      cpus: os.availableParallelism(),
      load_before: Math.round(loadBefore * 10) / 10,
      seconds: Math.round((performance.now() - started) / 100) / 10,
    }
    if (json) console.log(JSON.stringify({ name, machine, rows, notes }, null, 2))
    else {
      console.log(`\n${tableOf(rows).join('\n')}\n`)
      for (const note of notes) console.log(note)
      console.log(
        `${machine.cpus} × ${machine.cpu}, Node ${machine.node}, load before ${machine.load_before}, ${machine.seconds} s\n`,
      )
    }
  } finally {
    await stop()
  }
}

/** The rows under the names of all their columns, numbers to the right. */
function tableOf(rows: readonly Row[]): string[] {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const cells = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '')))]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)))
  const isNumber = columns.map((column) => rows.every((row) => typeof (row[column] ?? 0) === 'number'))
  return cells.map((line) =>
    line
      .map((cell, index) => (isNumber[index] ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

process.exitCode = await runCommand(process.argv.slice(2), {
  usage: `${help}\n\n${list()}`,
  options,
  namesMax: known.length,
  run: bench,
})
