// Which tests run on what. A suite is one run of vitest over one project with one set of parts; the same test files run
// on several, because what a test needs is told by its file's name and what it runs on by the environment.

import { partEnvironment, parts, programs, type PartKey, type PartStates, type ProgramKey } from './parts.ts'

export interface Suite {
  readonly name: string
  /** By which `npm test -- NAME` chooses it, beside its own name. */
  readonly group: string
  readonly project: 'unit' | 'db' | 'sandbox' | 'e2e'
  /** Files of the project, by a part of their path; none: all of them. */
  readonly files: readonly string[]
  /** Left out of these. */
  readonly without?: readonly string[]
  /** It does not run without these. */
  readonly needs: readonly PartKey[]
  /** It runs without these, but tests more with them. */
  readonly uses: readonly PartKey[]
  readonly environment?: Readonly<Record<string, string>>
}

const stores = ['seaweedfs', 'versitygw'] as const
const everyProgram = Object.keys(programs) as ProgramKey[] // The keys of a literal object are its own.
const onePart = { MILLRACE_TEST_SHAPE: 'one-process' }
const split = { MILLRACE_TEST_SHAPE: 'split' }
const e2eFiles = (...names: string[]): string[] => names.map((name) => `test/e2e/${name}.test.ts`)
/** What processes of their own, or servers in place of embedded parts, could not change: it is seen in one process. */
const sameInEveryShape = e2eFiles('bad-files', 'command-line')
/** What another version of PostgreSQL or another store could change; all else is seen on the first pair of them. */
const changedByServers = e2eFiles('content', 'faults', 'full-store', 'main-job', 'search', 'tenants')

export const suites: readonly Suite[] = [
  { name: 'unit', group: 'unit', project: 'unit', files: [], needs: [], uses: [] },
  {
    name: 'harness',
    group: 'harness',
    project: 'e2e',
    files: ['test/harness', 'test/fixtures', 'test/chaos'],
    needs: [],
    uses: [],
  },
  { name: 'db, PGlite', group: 'db', project: 'db', files: [], needs: [], uses: ['valkey', ...stores] },
  {
    name: 'db, PostgreSQL 15',
    group: 'db',
    project: 'db',
    files: [],
    needs: ['postgres15'],
    uses: ['valkey', ...stores],
  },
  {
    name: 'db, PostgreSQL 18',
    group: 'db',
    project: 'db',
    files: [],
    needs: ['postgres18'],
    uses: ['valkey', ...stores],
  },
  { name: 'sandbox', group: 'sandbox', project: 'sandbox', files: [], needs: [], uses: everyProgram },
  {
    name: 'e2e, one process',
    group: 'e2e',
    project: 'e2e',
    files: ['test/e2e'],
    needs: [],
    uses: everyProgram,
    environment: onePart,
  },
  {
    name: 'browser',
    group: 'browser',
    project: 'e2e',
    files: ['test/browser'],
    needs: ['chromium'],
    uses: ['bubblewrap'],
    environment: onePart,
  },
  {
    name: 'e2e, split on PostgreSQL 15',
    group: 'e2e',
    project: 'e2e',
    files: ['test/e2e'],
    without: sameInEveryShape,
    needs: ['postgres15', 'valkey', 'seaweedfs'],
    uses: everyProgram,
    environment: split,
  },
  {
    name: 'e2e, split on PostgreSQL 18',
    group: 'e2e',
    project: 'e2e',
    files: changedByServers,
    needs: ['postgres18', 'valkey', 'versitygw'],
    uses: everyProgram,
    environment: split,
  },
]

/** What a suite is told, what it runs on in words, and, when it cannot run, why. */
export function planSuite(
  suite: Suite,
  states: PartStates,
): { environment: Record<string, string>; on: string; missing: string | undefined } {
  const reasons = suite.needs.flatMap((key) => {
    const state = states[key]
    return state.state === 'missing' ? [`${parts[key].name}: ${state.why}`] : []
  })
  const present = [...suite.needs, ...suite.uses].filter((key) => states[key].state === 'here')
  const embedded = suite.environment?.['MILLRACE_TEST_SHAPE'] === 'one-process' || suite.name.endsWith('PGlite')
  const on = [
    ...(embedded ? ['PGlite'] : []),
    ...present.filter((key) => !suite.name.includes(parts[key].name)).map((key) => parts[key].name),
  ]
  return {
    environment: { ...partEnvironment(states, present), ...suite.environment },
    on: on.join(', ') || 'Node alone',
    missing: reasons.length > 0 ? reasons.join('; ') : undefined,
  }
}

/** Suites chosen by the words of the command line; words that choose none are parts of test files' paths. */
export function chooseSuites(words: readonly string[]): { chosen: readonly Suite[]; files: readonly string[] } {
  const isSuite = (word: string) => suites.some((suite) => suite.name === word || suite.group === word)
  const names = words.filter(isSuite)
  const files = words.filter((word) => !isSuite(word))
  const chosen = suites.filter(
    (suite) => names.length === 0 || names.includes(suite.name) || names.includes(suite.group),
  )
  return { chosen, files }
}
