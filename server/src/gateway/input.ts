// What a client sent, checked against the operation's schemas before any handler sees it.

import type { Operation, ProblemDocument } from '@millrace/contract'
import { Compile, type Validator } from 'typebox/compile'
import { Problem } from '../platform/problem.ts'

export interface RawInput {
  params: unknown
  query: unknown
  body: unknown
}

export type InputParser = (raw: RawInput) => { params: unknown; query: unknown; body: unknown }

const errorsCountMax = 20

/**
 * Compiles the schemas of an operation once. Text of a query becomes the number that its schema asks for; bodies are
 * taken as they are. Throws Problem('not_found') for a path that cannot name anything, so that malformed ids answer
 * like missing ones, and Problem('invalid_request') with the faulty places for the rest.
 */
export function createInputParser(operation: Operation): InputParser {
  const params = operation.params && Compile(operation.params)
  const query = operation.query && Compile(operation.query)
  const body = operation.body && Compile(operation.body)
  return (raw) => {
    if (params && !params.Check(raw.params)) throw new Problem('not_found')
    return {
      params: params ? raw.params : undefined,
      query: query ? check('query', query, query.Default(query.Convert(raw.query))) : undefined,
      body: body ? check('body', body, raw.body) : undefined,
    }
  }
}

function check(place: 'query' | 'body', validator: Validator, value: unknown): unknown {
  if (validator.Check(value)) return value
  if (place === 'body' && value === undefined) {
    throw new Problem('invalid_request', { detail: 'The request has no JSON body.' })
  }
  const errors: NonNullable<ProblemDocument['errors']> = validator
    .Errors(value)
    .slice(0, errorsCountMax)
    .map((error) => ({ path: `/${place}${error.instancePath}`, message: error.message }))
  const first = errors[0]
  throw new Problem('invalid_request', { ...(first && { detail: `${first.path} ${first.message}` }), errors })
}
