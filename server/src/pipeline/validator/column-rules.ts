// Rules for the values of a column, as SQL that finds the rows that break them. A value is looked at as text, so that
// the same rule means the same for every format; a blank value breaks no rule but `required`.

import { Problem } from '../../platform/problem.ts'
import { literal } from '../formats/duckdb.ts'
import type { ColumnRule } from './data-validate.ts'

export interface RuleCheck {
  column: string
  rule: string
  /** What is asked, in words. */
  text: string
  /** True for a row that breaks the rule, given the SQL of the value's text, which is NULL when it is blank. */
  brokenSql: (value: string) => string
}

const typeChecks: Record<NonNullable<ColumnRule['type']>, { text: string; sql: (value: string) => string }> = {
  integer: {
    text: 'a whole number',
    sql: (value) =>
      `NOT (regexp_full_match(${value}, '[-+]?[0-9]+([.]0+)?') AND TRY_CAST(${value} AS DOUBLE) IS NOT NULL)`,
  },
  number: { text: 'a number', sql: (value) => `coalesce(NOT isfinite(TRY_CAST(${value} AS DOUBLE)), true)` },
  boolean: {
    text: 'true or false',
    sql: (value) => `lower(${value}) NOT IN ('true', 'false', 't', 'f', 'yes', 'no', '1', '0')`,
  },
  date: {
    text: 'a date',
    sql: (value) =>
      `NOT (regexp_full_match(${value}, '[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]00:00:00)?') AND TRY_CAST(${value} AS DATE) IS NOT NULL)`,
  },
  timestamp: { text: 'a date with a time', sql: (value) => `TRY_CAST(${value} AS TIMESTAMPTZ) IS NULL` },
}

/** All checks that one rule asks for. Problems: parameters_invalid. */
export function checksOf(rule: ColumnRule): RuleCheck[] {
  const checks: RuleCheck[] = []
  const add = (name: string, text: string, sql: RuleCheck['brokenSql']): void =>
    void checks.push({ column: rule.column, rule: name, text, brokenSql: sql })
  if (rule.required === true) add('required', 'must have a value', (value) => `${value} IS NULL`)
  if (rule.type !== undefined) {
    const { text, sql } = typeChecks[rule.type]
    add('type', `must be ${text}`, (value) => `${value} IS NOT NULL AND ${sql(value)}`)
  }
  if (rule.min !== undefined) add('min', `must be ${rule.min} or more`, boundSql(rule.min, '<'))
  if (rule.max !== undefined) add('max', `must be ${rule.max} or less`, boundSql(rule.max, '>'))
  if (rule.length_max !== undefined)
    add(
      'length_max',
      `must have at most ${rule.length_max} characters`,
      (value) => `length(${value}) > ${rule.length_max}`,
    )
  if (rule.pattern !== undefined) {
    const pattern = literal(rule.pattern)
    add(
      'pattern',
      `must match ${rule.pattern}`,
      (value) => `${value} IS NOT NULL AND NOT regexp_matches(${value}, ${pattern})`,
    )
  }
  if (rule.values !== undefined) {
    const allowed = ['NULL', ...rule.values.map(literal)].join(', ')
    add(
      'values',
      'must be one of the values allowed',
      (value) => `${value} IS NOT NULL AND (${value} IN (${allowed})) IS NOT TRUE`,
    )
  }
  if (rule.unique === true)
    add(
      'unique',
      'must not stand twice',
      (value) => `${value} IS NOT NULL AND count(*) OVER (PARTITION BY ${value}) > 1`,
    )
  return checks
}

function boundSql(bound: number | string, broken: '<' | '>'): RuleCheck['brokenSql'] {
  const [type, limit] =
    typeof bound === 'number' ? ['DOUBLE', String(bound)] : ['TIMESTAMPTZ', `TIMESTAMPTZ ${literal(bound)}`]
  if (typeof bound === 'string' && (!/^\d{4}-\d\d-\d\d/u.test(bound) || Number.isNaN(Date.parse(bound))))
    throw new Problem('parameters_invalid', { detail: `"${bound}" is neither a number nor a date to compare with.` })
  return (value) => `${value} IS NOT NULL AND coalesce(TRY_CAST(${value} AS ${type}) ${broken} ${limit}, true)`
}
