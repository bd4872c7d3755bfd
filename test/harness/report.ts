// The closing words of a test run: which suite ran on what, which did not and why, and the line that programs read.

import type { SuiteRun } from './vitest-run.ts'

export type SuiteResult = { name: string; on: string } & ({ ran: true; run: SuiteRun } | { ran: false; why: string })

export interface Summary {
  lines: string[]
  passed: number
  failed: number
  skipped: number
}

/**
 * Strict, as in CI, a suite that did not run and a test that ran nowhere are failures. A test that is left out on one
 * database and has passed on another was not skipped.
 */
export function summarise(results: readonly SuiteResult[], options: { strict: boolean }): Summary {
  const runs = results.flatMap((result) => (result.ran ? [result.run] : []))
  const cases = runs.flatMap((run) => run.cases)
  const passedIds = new Set(cases.filter(({ outcome }) => outcome === 'passed').map(({ id }) => id))
  const skippedIds = new Set(
    cases.filter(({ outcome, id }) => outcome === 'skipped' && !passedIds.has(id)).map(({ id }) => id),
  )
  const passed = cases.filter(({ outcome }) => outcome === 'passed').length
  const faults = results.flatMap((result) => faultsOf(result, options.strict))
  if (options.strict) for (const id of skippedIds) faults.push(`ran nowhere: ${id}`)
  const skipped = options.strict ? 0 : skippedIds.size
  return {
    lines: [
      ...table(results),
      ...(faults.length > 0 ? ['', 'Failures:', ...faults.map((fault) => `  ${fault}`)] : []),
      ...(skipped > 0 ? ['', 'Skipped everywhere:', ...[...skippedIds].map((id) => `  ${id}`)] : []),
      '',
      `${passed} passed, ${faults.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`,
    ],
    passed,
    failed: faults.length,
    skipped,
  }
}

function faultsOf(result: SuiteResult, strict: boolean): string[] {
  if (!result.ran) return strict ? [`[${result.name}] did not run: ${result.why}`] : []
  const failed = result.run.cases.filter(({ outcome }) => outcome === 'failed').map(({ id }) => id)
  return [...failed, ...result.run.faults].map((fault) => `[${result.name}] ${fault}`)
}

function table(results: readonly SuiteResult[]): string[] {
  const rows = [['suite', 'result', 'seconds', 'on'], ...results.map(toRow)]
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 2 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

function toRow(result: SuiteResult): string[] {
  if (!result.ran) return [result.name, 'did not run', '', result.why.split('\n')[0] ?? '']
  const count = (outcome: string) => result.run.cases.filter((test) => test.outcome === outcome).length
  const skipped = count('skipped')
  const failed = count('failed') + result.run.faults.length
  const counts = `${count('passed')} passed, ${failed} failed${skipped > 0 ? `, ${skipped} left out` : ''}`
  return [result.name, counts, result.run.seconds.toFixed(1), result.on]
}
