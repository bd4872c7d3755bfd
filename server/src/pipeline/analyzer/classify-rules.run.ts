// Rules are CEL (Common Expression Language), which has neither loops without end nor a way out of its facts.

import { Environment } from '@marcbachmann/cel-js'
import { Problem } from '../../platform/problem.ts'
import { defineRun } from '../processor-run.ts'
import { done, type SandboxRun } from '../processor.ts'
import { readTexts, textFilesOf } from '../text-input.ts'
import { classifyRules } from './classify-rules.ts'

interface RuleOutcome {
  label: string
  holds: boolean
  /** Why it could not be decided, e.g. because a result that it asks for is not there; it does not hold then. */
  error: string | null
}

const textCharactersMax = 200_000
const limits = { maxAstNodes: 500, maxDepth: 50, maxListElements: 100, maxMapEntries: 100, maxCallArguments: 16 }

/**
 * Result: { kind: 'classification', labels, retention_class, rules }; the retention class is that of the first rule that
 * holds and has one. Problems: parameters_invalid for an expression that is none.
 */
export const run = defineRun(classifyRules, async ({ parameters, files, file, results }) => {
  const texts = textFilesOf(files)
  const facts = factsOf({ file, results }, texts.length === 0 ? '' : await readTexts(texts, textCharactersMax))
  const environment = new Environment({ limits })
  environment.registerVariable('file', 'map').registerVariable('results', 'map').registerVariable('text', 'string')
  const outcomes = parameters.rules.map((rule) => ({ ...rule, ...judge(parse(environment, rule), facts) }))
  const holding = outcomes.filter(({ holds }) => holds)
  return done([], {
    kind: 'classification',
    labels: [...new Set(holding.map(({ label }) => label))],
    retention_class: holding.find((rule) => rule.retention_class !== undefined)?.retention_class ?? null,
    rules: outcomes.map(({ label, holds, error }): RuleOutcome => ({ label, holds, error })),
  })
})

type Expression = (facts: Record<string, unknown>) => unknown

function parse(environment: Environment, { label, when }: { label: string; when: string }): Expression {
  try {
    const parsed = environment.parse(when)
    const { valid, type, error } = parsed.check()
    if (!valid) throw error ?? new Error('It is not valid.')
    if (type !== 'bool' && type !== 'dyn') throw new Error(`It yields ${type}, not a bool.`)
    return parsed
  } catch (cause) {
    throw new Problem('parameters_invalid', { detail: `The rule for "${label}": ${firstLine(cause)}`, cause })
  }
}

function judge(expression: Expression, facts: Record<string, unknown>): { holds: boolean; error: string | null } {
  try {
    const value = expression(facts)
    if (typeof value === 'boolean') return { holds: value, error: null }
    return { holds: false, error: 'It yields neither true nor false.' }
  } catch (error) {
    return { holds: false, error: firstLine(error) }
  }
}

/** The library draws the place below its message. */
const firstLine = (error: unknown): string =>
  ((error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '').slice(0, 300)

const factsOf = ({ file, results }: Pick<SandboxRun, 'file' | 'results'>, text: string): Record<string, unknown> => ({
  file: {
    name: file.name,
    content_type: file.contentType,
    size_bytes: BigInt(file.sizeBytes),
    metadata: toCel(file.metadata),
  },
  results: toCel(results),
  text: text.toLowerCase(),
})

/** JSON knows one kind of number; whole ones become CEL's int, so that they can be compared with 3. */
function toCel(value: unknown): unknown {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value
  if (Array.isArray(value)) return value.map(toCel)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, toCel(each)]))
}
