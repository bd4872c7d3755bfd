// What owners say of their files: a JSON object of bounded size, kept as it came.

import { Problem } from '../platform/problem.ts'

/** Deeper than anybody writes by hand; nesting costs stack in the database. */
const depthMax = 32

/**
 * The value, if it is an object that can be stored: at most so many bytes as JSON, 32 levels deep, without NUL, half
 * characters and numbers that JSON has no form for. Throws Problem('invalid_request').
 */
export function checkMetadata(value: unknown, bytesMax: number): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('must be a JSON object')
  checkDeeply(value, 1)
  const sizeBytes = Buffer.byteLength(JSON.stringify(value))
  if (sizeBytes > bytesMax) throw invalid(`take ${sizeBytes} bytes; at most ${bytesMax} are allowed`)
  // It is neither null nor an array, so it is a record.
  return value as Record<string, unknown>
}

/** The same for its JSON text. */
export function parseMetadata(text: string, bytesMax: number): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new Problem('invalid_request', { detail: 'The metadata are not valid JSON.', cause: error })
  }
  return checkMetadata(value, bytesMax)
}

function checkDeeply(value: unknown, depth: number): void {
  if (depth > depthMax) throw invalid(`are nested deeper than ${depthMax} levels`)
  if (typeof value === 'string') return checkText(value)
  if (typeof value === 'number' && !Number.isFinite(value)) throw invalid('hold a number that is too large')
  if (typeof value !== 'object' || value === null) return
  for (const [key, item] of Object.entries(value)) {
    checkText(key)
    checkDeeply(item, depth + 1)
  }
}

function checkText(text: string): void {
  if (text.includes('\0') || !text.isWellFormed()) throw invalid('hold NUL or text that is not valid Unicode')
}

const invalid = (reason: string): Problem => new Problem('invalid_request', { detail: `The metadata ${reason}.` })
