// One run of vitest, and what its JSON report says. A bad exit that the report does not explain (a worker that crashed, an
// unhandled error, no test found) is a failure of its own: a suite must never look green because it did not run.

import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'

export interface TestCase {
  /** File and full name: the same on whatever the suite ran. */
  id: string
  outcome: 'passed' | 'failed' | 'skipped'
}

export interface SuiteRun {
  cases: TestCase[]
  /** Failures that belong to no test. */
  faults: string[]
  seconds: number
}

export interface VitestOptions {
  projectFolder: string
  project: string
  files: readonly string[]
  /** Left out of these. */
  without: readonly string[]
  /** A part of the path that every file must have; with it, finding no file is no fault. */
  filter: readonly string[]
  environment: Record<string, string>
}

/** The parts of vitest's JSON report that are read here. */
export interface VitestReport {
  testResults: {
    name: string
    status: string
    message?: string
    assertionResults: { fullName: string; status: string }[]
  }[]
}

export async function runVitest(options: VitestOptions): Promise<SuiteRun> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-test-report-'))
  const reportFile = path.join(folder, 'report.json')
  const started = Date.now()
  try {
    const exit = await spawnVitest(options, reportFile)
    const report = JSON.parse(await readFile(reportFile, 'utf8').catch(() => 'null')) as VitestReport | null
    const { cases, faults } = readReport(report, exit, options)
    return { cases, faults, seconds: (Date.now() - started) / 1_000 }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function spawnVitest(options: VitestOptions, reportFile: string): Promise<number | string> {
  const vitest = path.join(options.projectFolder, 'node_modules', 'vitest', 'vitest.mjs')
  const args = ['run', '--project', options.project, '--reporter=default', '--reporter=json']
  const chosen = [...options.files, ...options.without.map((file) => `--exclude=${file}`)]
  const files = options.filter.length > 0 ? options.filter : chosen
  const child = spawn(process.execPath, [vitest, ...args, `--outputFile.json=${reportFile}`, ...files], {
    cwd: options.projectFolder,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...withoutSettings(process.env),
      ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }),
      ...options.environment,
    },
  })
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown end'))
  })
}

/** The tests get what their suite says and nothing that happens to be set in the shell. */
export function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const ours = /^(?:MILLRACE_|DATABASE_|REDIS_URL$|OBJECT_STORE$|AWS_|PORT$|HOST$|LOG_LEVEL$|VITEST)/
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !ours.test(name)))
}

/** Counts the report's tests; whatever the exit code says beyond them becomes a fault. */
export function readReport(
  report: VitestReport | null,
  exit: number | string,
  options: Pick<VitestOptions, 'projectFolder' | 'filter'>,
): { cases: TestCase[]; faults: string[] } {
  if (!report) {
    const nothingFound = exit === 1 && options.filter.length > 0
    return { cases: [], faults: nothingFound ? [] : [`vitest ended with ${exit} and left no report`] }
  }
  const cases: TestCase[] = []
  const faults: string[] = []
  for (const file of report.testResults) {
    const name = path.relative(options.projectFolder, file.name)
    for (const { fullName, status } of file.assertionResults) {
      cases.push({ id: `${name} > ${fullName}`, outcome: outcomes[status] ?? 'skipped' })
    }
    const explained = file.assertionResults.some(({ status }) => status === 'failed')
    if (file.status === 'failed' && !explained) faults.push(`${name}: ${file.message?.trim() || 'did not load'}`)
  }
  const explained = faults.length > 0 || cases.some(({ outcome }) => outcome === 'failed')
  if (cases.length === 0 && options.filter.length === 0) faults.push('no test was found')
  else if (exit !== 0 && !explained && cases.length > 0) faults.push(`vitest ended with ${exit}, though no test failed`)
  return { cases, faults }
}

const outcomes: Record<string, TestCase['outcome']> = { passed: 'passed', failed: 'failed' }
