// The report of many experiments: a table for people, and JSON that a later turn goes on with.

import { readFile, writeFile } from 'node:fs/promises'
import type { Outcome } from './experiment.ts'

export interface Report {
  /** singles, pairs or the name of a fault. */
  plan: string
  seed: number
  /** What it ran on. */
  on: string
  outcomes: Outcome[]
}

const columns = ['#', 'fault', 'files', 'calls', 'failed', 'leads', 'recovered', 'took', 'invariants'] as const

export function toTable(outcomes: readonly Outcome[]): string[] {
  const rows = [[...columns], ...outcomes.map(toRow)]
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 1 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

const nameOf = ({ rounds }: Outcome): string => rounds.map(({ faults }) => faults.join(' + ')).join('; ')

const toRow = (outcome: Outcome): string[] => [
  outcome.rounds.map(({ number }) => number).join(','),
  nameOf(outcome),
  String(outcome.files),
  String(outcome.calls),
  String(outcome.failedCalls),
  String(outcome.leaders),
  `${outcome.recoverSeconds.toFixed(1)} s`,
  `${outcome.seconds.toFixed(0)} s`,
  outcome.violations.length === 0 ? 'hold' : `${outcome.violations.length} broken`,
]

/** The last word on each experiment, and what is broken. */
export function summarise({ plan, seed, on, outcomes }: Report): string[] {
  const broken = outcomes.filter(({ violations }) => violations.length > 0)
  const files = outcomes.reduce((sum, outcome) => sum + outcome.files, 0)
  const rounds = outcomes.reduce((sum, outcome) => sum + outcome.rounds.length, 0)
  return [
    ...toTable(outcomes),
    ...broken.flatMap((outcome) => ['', nameOf(outcome), ...outcome.violations.map((violation) => `  ${violation}`)]),
    '',
    `${plan}, seed ${seed}, on ${on}: ${rounds} faults or pairs in ${outcomes.length} experiments, ${files} files, ` +
      (broken.length === 0 ? 'every invariant holds' : `${broken.length} broken`),
  ]
}

/** What earlier turns of the same plan and seed have found. */
export async function readReport(file: string, { plan, seed }: Pick<Report, 'plan' | 'seed'>): Promise<Outcome[]> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return []
  const report = JSON.parse(text) as Report // Written below.
  return report.plan === plan && report.seed === seed ? report.outcomes : []
}

export async function writeReport(file: string, report: Report): Promise<void> {
  await writeFile(file, `${JSON.stringify(report, undefined, 2)}\n`)
}
