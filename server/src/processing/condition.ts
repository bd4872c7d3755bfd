// The "if" of a step: a CEL expression over `file` and the steps that it needs. Pipelines are checked with it when they
// are stored, and the engine evaluates it when the needs have ended; both by this file.
//
// A condition is somebody else's text and runs in our process, so its cost is bounded: no regular expressions, no
// comprehension inside another, a limited tree.

import { Environment, type ASTNode } from '@marcbachmann/cel-js'
import { suggestion } from '../platform/nearest-name.ts'

/** What an expression sees of a needed step. */
export interface StepFacts {
  outputs: { name: string; content_type: string; size_bytes: number }[]
  /** The processor's JSON result; an array for a fanned-out step, null where there is none. */
  result: unknown
  state: string
}

/** What an expression sees of the job's file. */
export interface FileFacts {
  name: string
  content_type: string
  size_bytes: number
  metadata: Record<string, unknown>
  /** How many archives it came out of. */
  depth: number
}

export interface ConditionFacts {
  file: FileFacts
  /** By step name; under `steps["name"]`, and under its own name where that is an identifier. */
  steps: Record<string, StepFacts>
}

export interface Condition {
  /** Never throws: an expression that fails on these facts, or is not true or false, answers with the reason. */
  evaluate(facts: ConditionFacts): { holds: boolean } | { error: string }
}

/** Outputs that an expression is shown of one step. */
export const conditionOutputsCountMax = 10_000
const limits = { maxAstNodes: 500, maxDepth: 50, maxListElements: 100, maxMapEntries: 100, maxCallArguments: 16 }
export const conditionLengthMax = 2_000
const macros = new Set(['all', 'exists', 'exists_one', 'map', 'filter'])

/** The parsed expression, or what is wrong with it in words for the author of the pipeline. */
export function parseCondition(text: string, needs: readonly string[]): Condition | { error: string } {
  const condition = compile(text, needs)
  if ('error' in condition) return condition
  const unknown = findUnknown(condition.ast, needs)
  return unknown === undefined ? condition : { error: unknown }
}

function compile(text: string, needs: readonly string[]): (Condition & { ast: ASTNode }) | { error: string } {
  if (text.trim() === '') return { error: 'It is empty.' }
  if (text.length > conditionLengthMax) return { error: `It is longer than ${conditionLengthMax} characters.` }
  try {
    const parsed = environmentOf(needs).parse(text)
    const checked = parsed.check()
    if (!checked.valid) return { error: firstLine(checked.error) }
    if (checked.type !== 'bool' && checked.type !== 'dyn') return { error: `It yields ${checked.type}, not a bool.` }
    const forbidden = findForbidden(parsed.ast, 0)
    if (forbidden !== undefined) return { error: forbidden }
    return {
      ast: parsed.ast,
      evaluate(facts) {
        try {
          const value: unknown = parsed(toVariables(facts))
          return typeof value === 'boolean' ? { holds: value } : { error: 'It yields neither true nor false.' }
        } catch (error) {
          return { error: firstLine(error) }
        }
      },
    }
  } catch (error) {
    return { error: firstLine(error) }
  }
}

/** Parses and evaluates in one go; the engine meets each expression once per job. */
export function evaluateCondition(text: string, facts: ConditionFacts): { holds: boolean } | { error: string } {
  // What is stored was taken once, and may be more lenient than what is taken now.
  const condition = compile(text, Object.keys(facts.steps))
  return 'error' in condition ? condition : condition.evaluate(facts)
}

function environmentOf(needs: readonly string[]): Environment {
  const environment = new Environment({ limits })
  environment.registerVariable('file', 'map').registerVariable('steps', 'map')
  for (const name of needs) if (isIdentifier(name)) environment.registerVariable(name, 'map')
  return environment
}

/** Names that the language or this file uses for something else are reached through `steps` only. */
const reserved = new Set(
  (
    'file steps true false null in as break const continue else for function if import let loop package namespace return ' +
    'var void while bool bytes double duration dyn int list map null_type string timestamp type uint size has matches'
  ).split(' '),
)
const isIdentifier = (name: string): boolean => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !reserved.has(name)

function toVariables({ file, steps }: ConditionFacts): Record<string, unknown> {
  const known = Object.fromEntries(Object.entries(steps).map(([name, facts]) => [name, toCel(facts)]))
  const named = Object.entries(known).filter(([name]) => isIdentifier(name))
  return { ...Object.fromEntries(named), file: toCel(file), steps: known }
}

/** JSON knows one kind of number; whole ones become CEL's int, so that `rows + 1` means what it says. */
function toCel(value: unknown): unknown {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value
  if (Array.isArray(value)) return value.map(toCel)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, toCel(each)]))
}

function findForbidden(node: unknown, comprehensions: number): string | undefined {
  if (Array.isArray(node)) return firstOf(node, (each) => findForbidden(each, comprehensions))
  if (typeof node !== 'object' || node === null || !('op' in node)) return undefined
  const { op, args } = node as ASTNode
  const name = (op === 'rcall' || op === 'call') && Array.isArray(args) ? args[0] : undefined
  if (name === 'matches') return '"matches" is not allowed here; use startsWith, endsWith or contains.'
  const inside = typeof name === 'string' && macros.has(name) ? comprehensions + 1 : comprehensions
  if (inside > 1) return `"${String(name)}" cannot stand inside another all, exists, map or filter.`
  return findForbidden(args, inside)
}

const fileFields = ['name', 'content_type', 'size_bytes', 'metadata', 'depth'] satisfies (keyof FileFacts)[]
const stepFields = ['outputs', 'result', 'state'] satisfies (keyof StepFacts)[]

/** A field that no file and no step has, or a step that is not needed: with these, every evaluation would fail. */
function findUnknown(node: unknown, needs: readonly string[]): string | undefined {
  if (Array.isArray(node)) return firstOf(node, (each) => findUnknown(each, needs))
  if (typeof node !== 'object' || node === null || !('op' in node)) return undefined
  const { op, args } = node as ASTNode
  if (op === '.' || op === '[]') {
    const [of, field] = args as [ASTNode, string | ASTNode]
    const fault = faultOfField(of, typeof field === 'string' ? field : valueOf(field), needs)
    if (fault !== undefined) return fault
  }
  return findUnknown(args, needs)
}

const valueOf = ({ op, args }: ASTNode): unknown => (op === 'value' ? args : undefined)
const nameOf = ({ op, args }: ASTNode): unknown => (op === 'id' ? args : undefined)

function faultOfField(of: ASTNode, field: unknown, needs: readonly string[]): string | undefined {
  if (typeof field !== 'string') return undefined
  const name = nameOf(of)
  if (name === 'file' && !isOneOf(fileFields, field)) return unknownField('file', field, fileFields)
  if (name === 'steps' && !needs.includes(field))
    return `"steps" knows those of "needs" only, and "${field}" is none.${suggestion(field, needs)}`
  const isStep =
    (typeof name === 'string' && isIdentifier(name) && needs.includes(name)) ||
    ((of.op === '.' || of.op === '[]') && nameOf((of.args as ASTNode[])[0]!) === 'steps')
  return isStep && !isOneOf(stepFields, field) ? unknownField('a step', field, stepFields) : undefined
}

const isOneOf = (fields: readonly string[], field: string): boolean => fields.includes(field)

const unknownField = (of: string, field: string, fields: readonly string[]): string =>
  `"${field}" is no field of ${of}.${suggestion(field, fields) || ` Known here: ${fields.join(', ')}.`}`

function firstOf<T, R>(items: readonly T[], find: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = find(item)
    if (found !== undefined) return found
  }
  return undefined
}

/** The library adds a drawing of the place below its message. */
const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0]?.trim() ?? ''
