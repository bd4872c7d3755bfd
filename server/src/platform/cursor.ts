// Cursors of lists: where the page before ended, opaque to clients and good for the same question only.

import { createHash } from 'node:crypto'
import { Problem } from './problem.ts'

type Position = readonly (string | number)[]

/** A cursor for the place after this position in the answer to that question. */
export function encodeCursor(question: unknown, position: Position): string {
  return Buffer.from(JSON.stringify([digest(question), ...position])).toString('base64url')
}

/**
 * The position behind a cursor; `shape` is an example of it: texts where it has texts, whole numbers where it has whole
 * ones. Throws Problem('invalid_request') for a cursor that is not ours or belongs to another question.
 */
export function decodeCursor<P extends Position | []>(cursor: string, question: unknown, shape: P): P {
  const [found, ...position] = parse(cursor)
  const fits = position.length === shape.length && position.every((value, index) => isLike(value, shape[index]))
  if (!fits) throw invalid('The cursor is not one of ours.')
  if (found !== digest(question)) throw invalid('The cursor belongs to a list with other filters.')
  // Each value has just been seen to have the type of the example's.
  return position as readonly (string | number)[] as P
}

const isLike = (value: unknown, example: string | number | undefined): boolean =>
  typeof value === typeof example && (!Number.isInteger(example) || Number.isSafeInteger(value))

function parse(cursor: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

const digest = (question: unknown): string =>
  createHash('sha256').update(JSON.stringify(question)).digest('base64url').slice(0, 8)

const invalid = (detail: string): Problem => new Problem('invalid_request', { detail })
