import { describe, expect, test } from 'vitest'
import { summarise, type SuiteResult } from './report.ts'
import type { TestCase } from './vitest-run.ts'

const ran = (name: string, cases: TestCase[], faults: string[] = []): SuiteResult => ({
  name,
  on: 'PGlite',
  ran: true,
  run: { cases, faults, seconds: 1 },
})
const passed = (id: string): TestCase => ({ id, outcome: 'passed' })
const failed = (id: string): TestCase => ({ id, outcome: 'failed' })
const skipped = (id: string): TestCase => ({ id, outcome: 'skipped' })
const closing = (results: SuiteResult[], strict: boolean) => summarise(results, { strict }).lines.at(-1)

describe('the summary of a test run', () => {
  test('counts each test on each suite', () => {
    expect(
      closing([ran('db, PGlite', [passed('a')]), ran('db, PostgreSQL 15', [passed('a'), failed('b')])], true),
    ).toBe('2 passed, 1 failed')
  })

  test('counts as skipped only what ran nowhere', () => {
    const results = [ran('one', [skipped('a'), skipped('b')]), ran('two', [passed('a'), skipped('b')])]
    expect(closing(results, false)).toBe('1 passed, 0 failed, 1 skipped')
  })

  test('takes a test that ran nowhere for a failure when strict', () => {
    const summary = summarise([ran('one', [passed('a'), skipped('b')])], { strict: true })
    expect(summary.lines.at(-1)).toBe('1 passed, 1 failed')
    expect(summary.lines).toContain('  ran nowhere: b')
  })

  test('takes a suite that did not run for a failure when strict, and says why', () => {
    const absent: SuiteResult = { name: 'browser', on: '', ran: false, why: 'Chromium: not installed' }
    expect(closing([ran('unit', [passed('a')]), absent], false)).toBe('1 passed, 0 failed')
    const summary = summarise([ran('unit', [passed('a')]), absent], { strict: true })
    expect(summary.lines.at(-1)).toBe('1 passed, 1 failed')
    expect(summary.lines.join('\n')).toContain('[browser] did not run: Chromium: not installed')
  })

  test('counts a fault that belongs to no test', () => {
    expect(closing([ran('unit', [passed('a')], ['vitest ended with SIGSEGV'])], false)).toBe('1 passed, 1 failed')
  })
})
