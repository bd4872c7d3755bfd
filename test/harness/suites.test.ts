import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { partKeys, type PartKey, type PartState, type PartStates } from './parts.ts'
import { chooseSuites, planSuite, suites } from './suites.ts'

const statesOf = (here: readonly PartKey[]): PartStates =>
  // One entry for each key of PartKey is made.
  Object.fromEntries(
    partKeys.map((key): [PartKey, PartState] => [
      key,
      here.includes(key)
        ? { state: 'here', version: '1', url: `url-of-${key}` }
        : { state: 'missing', why: 'not installed' },
    ]),
  ) as PartStates
const suite = (name: string) => {
  const found = suites.find((candidate) => candidate.name === name)
  if (!found) throw new Error(`no suite ${name}`)
  return found
}

test('files of a suite are there, so that none is left out for a wrong name', () => {
  const paths = suites.flatMap(({ files, without = [] }) => [...files, ...without])
  expect(paths.filter((file) => !existsSync(new URL(`../../${file}`, import.meta.url)))).toEqual([])
})

describe('choosing suites', () => {
  test('takes all without a word, and a group by its name', () => {
    expect(chooseSuites([]).chosen).toHaveLength(suites.length)
    expect(new Set(chooseSuites(['db']).chosen.map(({ group }) => group))).toEqual(new Set(['db']))
  })

  test('takes other words for parts of file names, in every suite', () => {
    const { chosen, files } = chooseSuites(['vault'])
    expect(chosen).toHaveLength(suites.length)
    expect(files).toEqual(['vault'])
  })
})

describe('planning a suite', () => {
  test('says which part is missing and why', () => {
    expect(planSuite(suite('db, PostgreSQL 15'), statesOf([])).missing).toBe('PostgreSQL 15: not installed')
  })

  test('hands over the url of the server that the suite is about, and of no other', () => {
    const states = statesOf(['postgres15', 'postgres18', 'valkey'])
    expect(planSuite(suite('db, PostgreSQL 18'), states).environment).toEqual({
      MILLRACE_TEST_DATABASE_URL: 'url-of-postgres18',
      MILLRACE_TEST_REDIS_URL: 'url-of-valkey',
    })
    expect(planSuite(suite('db, PGlite'), states).environment).not.toHaveProperty('MILLRACE_TEST_DATABASE_URL')
  })

  test('runs an embedded suite on a bare machine', () => {
    expect(planSuite(suite('e2e, one process'), statesOf([]))).toMatchObject({ missing: undefined, on: 'PGlite' })
  })
})
