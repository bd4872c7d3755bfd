// What a client sent, checked against the operation's schemas before any handler sees it.

import type { Operation, ProblemDocument } from '@millrace/contract'
import { Type, type TObject, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { Problem } from '../platform/problem.ts'
import { pointerPart, schemaFaults } from '../platform/schema-faults.ts'

export interface RawInput {
  params: unknown
  query: unknown
  body: unknown
}

export type InputParser = (raw: RawInput) => { params: unknown; query: unknown; body: unknown }

const errorsCountMax = 20

/**
 * Compiles the schemas of an operation once. Text of a query becomes the number that its schema asks for, and a parameter
 * that the operation does not have is refused: a filter that is misspelled would give everything. Bodies are taken as they
 * are, but for text that no column holds. Throws Problem('not_found') for a path that cannot name anything, so that malformed
 * ids answer like missing ones, and Problem('invalid_request') with the faulty places for the rest.
 */
export function createInputParser(operation: Operation): InputParser {
  const params = operation.params && Compile(operation.params)
  const query = Compile(closed(operation.query ?? Type.Object({})))
  const body = operation.body && Compile(operation.body)
  return (raw) => {
    if (params && !params.Check(raw.params)) throw new Problem('not_found')
    const asked = check('/query', query, query.Default(query.Convert(raw.query)))
    return {
      params: params ? raw.params : undefined,
      query: operation.query ? asked : undefined,
      body: body ? storable(check('/body', body, raw.body)) : undefined,
    }
  }
}

/** Allows nothing else, where the schema does not say otherwise. */
const closed = ({ properties, additionalProperties = false }: NonNullable<Operation['query']>): TObject =>
  Type.Object(properties, { additionalProperties })

interface Checked {
  Check(value: unknown): boolean
  Errors(value: unknown): { instancePath: string; message: string }[]
  Type(): TSchema
}

function check(place: '/query' | '/body', validator: Checked, value: unknown): unknown {
  if (validator.Check(value)) return value
  if (place === '/body' && value === undefined) {
    throw new Problem('invalid_request', { detail: 'The request has no JSON body.' })
  }
  const faults = schemaFaults(validator.Type(), value, place)
  // What they do not know, the library does.
  const errors =
    faults.length > 0
      ? faults
      : validator.Errors(value).map(({ instancePath, message }) => ({ path: place + instancePath, message }))
  throw refusal(errors.slice(0, errorsCountMax).map(({ path, message }) => ({ path, message })))
}

function refusal(errors: NonNullable<ProblemDocument['errors']>): Problem {
  const [first] = errors
  return new Problem('invalid_request', { ...(first && { detail: `${first.path}: ${first.message}` }), errors })
}

const depthMax = 64

/** Throws Problem('invalid_request') where NUL or half a character stands, which the database can neither keep nor find. */
function storable(value: unknown): unknown {
  const fault = findUnstorable(value, '/body', 0)
  if (fault !== undefined) throw refusal([fault])
  return value
}

function findUnstorable(value: unknown, path: string, depth: number): { path: string; message: string } | undefined {
  if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed()))
    return { path, message: 'Must not contain NUL or text that is not valid Unicode.' }
  if (typeof value !== 'object' || value === null) return undefined
  if (depth === depthMax) return { path, message: `Must not nest deeper than ${depthMax} levels.` }
  for (const [key, inner] of Object.entries(value)) {
    const fault = findUnstorable(key, path, depth) ?? findUnstorable(inner, path + pointerPart(key), depth + 1)
    if (fault !== undefined) return fault
  }
  return undefined
}
