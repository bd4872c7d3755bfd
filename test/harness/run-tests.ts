// npm test. Finds the servers of this machine (MILLRACE_TEST_INSTALL=1: installs those that are missing), starts them, runs
// every suite that can run, and says which did not and why. MILLRACE_TEST_STRICT=1: one that did not is a failure.

import { fileURLToPath } from 'node:url'
import { installParts } from './installer.ts'
import {
  findParts,
  parts,
  partKeys,
  servers,
  startServers,
  type PartKey,
  type PartStates,
  type ServerKey,
} from './parts.ts'
import { summarise, type SuiteResult } from './report.ts'
import { chooseSuites, planSuite, suites, type Suite } from './suites.ts'
import { runVitest } from './vitest-run.ts'

const projectFolder = fileURLToPath(new URL('../..', import.meta.url))

const help = `npm test [-- NAME…]

Runs the test suites that this machine can run, and says which it cannot and why.
NAME is a suite (${[...new Set(suites.map((suite) => suite.group))].join(', ')}) or a part of a test file's path.

  MILLRACE_TEST_INSTALL=1  installs the servers and programs that are missing
  MILLRACE_TEST_STRICT=1   a suite that did not run, and a test that ran nowhere, are failures
  MILLRACE_TEST_CACHE=DIR  where installed servers are kept`

async function main(words: readonly string[]): Promise<number> {
  if (words.some((word) => ['--help', '-h', 'help'].includes(word))) {
    console.log(help)
    return 0
  }
  const { chosen, files } = chooseSuites(words)
  const wanted = [...new Set(chosen.flatMap((suite) => [...suite.needs, ...suite.uses]))]
  const found = await findOrInstall(wanted)
  const { states, stop } = await startServers(found, wanted.filter(isServer))
  const onSignal = (signal: NodeJS.Signals) => void stop().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143))
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  try {
    const results = await runSuites(chosen, files, states)
    if (files.length > 0 && !results.some((result) => result.ran)) {
      console.error(`No test file and no suite goes by ${files.join(' ')}.`)
      return 1
    }
    const strict = process.env['MILLRACE_TEST_STRICT'] === '1'
    const summary = summarise(results, { strict })
    console.log(`\n${summary.lines.join('\n')}`)
    return summary.failed === 0 ? 0 : 1
  } finally {
    await stop()
  }
}

const isServer = (key: PartKey): key is ServerKey => key in servers

async function findOrInstall(wanted: readonly PartKey[]): Promise<PartStates> {
  const states = await findParts()
  const missing = wanted.filter((key) => states[key].state === 'missing')
  if (process.env['MILLRACE_TEST_INSTALL'] !== '1' || missing.length === 0) return states
  await installParts(
    missing.map((key) => parts[key]),
    (line) => console.log(line),
  )
  return findParts()
}

async function runSuites(
  chosen: readonly Suite[],
  filter: readonly string[],
  states: PartStates,
): Promise<SuiteResult[]> {
  for (const key of partKeys) {
    const state = states[key]
    console.log(
      `  ${parts[key].name.padEnd(14)} ${state.state === 'here' ? state.version : `- ${state.why.split('\n')[0]}`}`,
    )
  }
  const results: SuiteResult[] = []
  for (const suite of chosen) {
    const plan = planSuite(suite, states)
    if (plan.missing !== undefined) {
      results.push({ name: suite.name, on: plan.on, ran: false, why: plan.missing })
      continue
    }
    console.log(`\n── ${suite.name} (on ${plan.on})`)
    const { project, files, without = [] } = suite
    const run = await runVitest({ projectFolder, project, files, without, filter, environment: plan.environment })
    const foundNothing = filter.length > 0 && run.cases.length === 0 && run.faults.length === 0
    if (!foundNothing) results.push({ name: suite.name, on: plan.on, ran: true, run })
  }
  return results
}

process.exitCode = await main(process.argv.slice(2))
