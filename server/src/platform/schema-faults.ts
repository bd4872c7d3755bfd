// What is wrong with a value, by its JSON schema, in words for who wrote it: the author of a pipeline or of a request. The
// schema library stops after eight faults and speaks in its own terms, so objects and lists are walked here and only single
// values are left to it.

import type { FieldError } from '@millrace/contract'
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { suggestion } from './nearest-name.ts'

export interface SchemaFault {
  /** JSON pointer. */
  path: string
  /** Which of the two the fault is in. */
  part: 'key' | 'value'
  message: FieldError['message']
}

/** A key or index as a part of a JSON pointer (RFC 6901). */
export const pointerPart = (key: string | number): string =>
  `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`

/** JSON Schema's words that requests, pipelines and parameters use. */
interface Schema {
  type?: string
  properties?: Record<string, TSchema>
  required?: readonly string[]
  additionalProperties?: unknown
  items?: TSchema
  anyOf?: readonly TSchema[]
  enum?: readonly unknown[]
  const?: unknown
  minimum?: number
  exclusiveMinimum?: number
  maximum?: number
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  minLength?: number
  maxLength?: number
  /** Ours: the form of a text with a pattern or a format, in words. */
  form?: string
}

export function schemaFaults(schema: TSchema, value: unknown, path = ''): SchemaFault[] {
  const { properties, items, type, ...bounds }: Schema = schema
  if (type === 'object' && properties && isRecord(value)) return objectFaults(schema, value, path)
  if (type === 'array' && Array.isArray(value)) {
    const own = listFault(bounds, value)
    const inner =
      items === undefined ? [] : value.flatMap((item, at) => schemaFaults(items, item, path + pointerPart(at)))
    return own === undefined ? inner : [{ path, part: 'value', message: own }, ...inner]
  }
  if (Value.Check(schema, value)) return []
  // Of a number or null, say, the number is what is meant by one.
  const [meant, ...others] = (bounds.anyOf ?? []).filter((each) => isOfKind(each, value))
  if (meant !== undefined && others.length === 0) return schemaFaults(meant, value, path)
  return [{ path, part: 'value', message: valueFault(schema, value) }]
}

const isOfKind = ({ type, const: constant }: Schema, value: unknown): boolean => {
  if (constant !== undefined || type === undefined) return false
  if (typeof value === 'number') return type === 'number' || type === 'integer'
  if (Array.isArray(value)) return type === 'array'
  return type === (value === null ? 'null' : typeof value)
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function objectFaults(
  { properties = {}, required = [], additionalProperties }: Schema,
  value: Record<string, unknown>,
  path: string,
): SchemaFault[] {
  const known = Object.keys(properties)
  const faults: SchemaFault[] = required
    .filter((key) => !Object.hasOwn(value, key))
    .map((key) => ({ path: path + pointerPart(key), part: 'key', message: `"${key}" is missing.` }))
  for (const [key, inner] of Object.entries(value)) {
    const schema = Object.hasOwn(properties, key) ? properties[key] : undefined
    if (schema !== undefined) faults.push(...schemaFaults(schema, inner, path + pointerPart(key)))
    else if (additionalProperties === false) {
      const hint = suggestion(key, known) || (known.length === 0 ? '' : ` Known here: ${known.join(', ')}.`)
      faults.push({ path: path + pointerPart(key), part: 'key', message: `"${key}" is not known here.${hint}` })
    }
  }
  return faults
}

function listFault({ minItems = 0, maxItems = Infinity, uniqueItems }: Schema, value: unknown[]): string | undefined {
  if (value.length < minItems) return minItems === 1 ? 'The list is empty.' : `Must have at least ${minItems} entries.`
  if (value.length > maxItems) return `Must have at most ${maxItems} entries.`
  const keys = value.map((item) => JSON.stringify(item))
  const twice = uniqueItems ? keys.find((key, index) => keys.indexOf(key) < index) : undefined
  return twice === undefined ? undefined : `${twice} is named twice.`
}

function valueFault(schema: TSchema, value: unknown): string {
  const allowed = allowedValues(schema)
  if (allowed !== undefined) {
    const hint = typeof value === 'string' ? suggestion(value, allowed.map(String)) : ''
    return `Must be one of ${allowed.map(String).join(', ')}.${hint}`
  }
  const [first] = Value.Errors(schema, value)
  const { type, minimum, exclusiveMinimum: above, maximum, form, anyOf }: Schema = schema
  if (anyOf !== undefined) {
    const kinds = anyOf.map((each) => kindNames[(each as Schema).type ?? ''] ?? 'something else')
    return `Must be ${[...new Set(kinds)].join(' or ')}.`
  }
  if (first?.keyword === 'type') return `Must be ${kindNames[type ?? ''] ?? type}, not ${kindOf(value)}.`
  if (above !== undefined && maximum !== undefined && typeof value === 'number')
    return `Must be more than ${above} and at most ${maximum}.`
  if (minimum !== undefined && maximum !== undefined && typeof value === 'number')
    return `Must be from ${minimum} to ${maximum}.`
  if (minimum !== undefined && typeof value === 'number' && value < minimum) return `Must be at least ${minimum}.`
  if (maximum !== undefined && typeof value === 'number' && value > maximum) return `Must be at most ${maximum}.`
  if (form !== undefined && (first?.keyword === 'pattern' || first?.keyword === 'format')) return `Must be ${form}.`
  const message = first?.message ?? 'is not valid'
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`
}

/** The values of an enum or of a union of constants. */
function allowedValues(schema: TSchema): unknown[] | undefined {
  const { enum: values, const: constant, anyOf }: Schema = schema
  if (values !== undefined) return [...values]
  if (constant !== undefined) return [constant]
  const each = anyOf?.map((member) => allowedValues(member))
  return each?.every((member) => member !== undefined) ? each.flat() : undefined
}

const kindNames: Record<string, string> = {
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  null: 'null',
}

function kindOf(value: unknown): string {
  if (value === null) return 'empty'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'number') return Number.isInteger(value) ? 'a whole number' : 'a fraction'
  return kindNames[typeof value] ?? typeof value
}
