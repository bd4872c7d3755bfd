// The child's word about how its task went, taken for hostile: of the right shape, bounded, and such that a database
// can hold it. What does not fit is output_invalid, which names the processor's fault and repeats none of its words.

import { problems, type ProblemCode } from '@millrace/contract'
import { Problem } from '../platform/problem.ts'
import type { OutputFile, ProcessorOutcome } from '../pipeline/processor.ts'

/** The engine keeps no larger result. */
export const resultBytesMax = 256 * 1024
export const foundTextCharactersMax = 1_000_000
const depthMax = 64
const detailCharactersMax = 1_000
const nameCharactersMax = 4_000
const pathNamesMax = 16
const pathNameCharactersMax = 255
const retryLaterMsMax = 60 * 60_000

/** What a processor may say of a file; everything else about a task is said by those who ran it. */
const ownerCodes: readonly ProblemCode[] = [
  'file_empty',
  'file_unreadable',
  'file_encrypted',
  'file_type_unsupported',
  'file_too_complex',
  'file_too_large',
  'file_rejected',
  'file_infected',
  'file_unscannable',
  'archive_unsafe',
  'data_invalid',
  'parameters_invalid',
  'output_limit_exceeded',
  'memory_limit_exceeded',
  'time_limit_exceeded',
  'processor_unavailable',
  'fan_out_too_large',
]

/** Throws Problem output_invalid or, for a result that is too large, output_limit_exceeded. */
export function readOutcome(value: unknown, limits: { outputFilesMax: number }): ProcessorOutcome {
  if (!isRecord(value)) throw invalid('no outcome')
  switch (value['kind']) {
    case 'done':
      return readDone(value, limits)
    case 'reject': {
      const code = ownerCodes.find((known) => known === value['code'])
      if (code === undefined) throw invalid('an unknown problem code')
      return { kind: 'reject', code, detail: readDetail(value['detail']) ?? problems[code].title }
    }
    case 'retryLater': {
      const afterMs = Number(value['afterMs'])
      if (!(afterMs >= 0)) throw invalid('no time to wait')
      const detail = readDetail(value['detail']) ?? 'The processor asked for another attempt.'
      return { kind: 'retryLater', afterMs: Math.min(afterMs, retryLaterMsMax), detail }
    }
    default:
      throw invalid('an outcome of unknown kind')
  }
}

function readDone(value: Record<string, unknown>, { outputFilesMax }: { outputFilesMax: number }): ProcessorOutcome {
  const { outputs, result, foundText, recordsCount } = value
  if (!Array.isArray(outputs)) throw invalid('no list of outputs')
  if (outputs.length > outputFilesMax)
    throw new Problem('output_limit_exceeded', { detail: `More than ${outputFilesMax} files were produced.` })
  return {
    kind: 'done',
    outputs: outputs.map(readOutput),
    result: cleanJson(result ?? null),
    ...(typeof foundText === 'string' && { foundText: storable(foundText.slice(0, foundTextCharactersMax)) }),
    ...(Number.isSafeInteger(recordsCount) && { recordsCount: Math.max(0, Number(recordsCount)) }),
  }
}

const contentTypePattern = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,99}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}$/

function readOutput(value: unknown): OutputFile {
  if (!isRecord(value)) throw invalid('an output without a description')
  const { path, name, contentType, as } = value
  if (typeof path !== 'string' || namesOf(path) === undefined) throw invalid('an output outside its folder')
  if (typeof name !== 'string' || name === '') throw invalid('an output without a name')
  // A character may be two code units, so only what is longer has to be counted.
  if (name.length > nameCharactersMax && Array.from(name).length > nameCharactersMax)
    throw invalid('an output whose name is too long')
  if (typeof contentType !== 'string' || !contentTypePattern.test(contentType))
    throw invalid('an output without a type')
  if (as !== undefined && as !== 'output' && as !== 'file') throw invalid('an output of unknown use')
  return { path, name: storable(name), contentType, ...(as !== undefined && { as }) }
}

/** The names along a path below the output folder; undefined for one that could lead elsewhere. */
export function namesOf(path: string): string[] | undefined {
  const names = path.split('/')
  const isFine = (name: string): boolean =>
    name !== '' && name !== '.' && name !== '..' && name.length <= pathNameCharactersMax && !/[\\:\0]/.test(name)
  return names.length <= pathNamesMax && names.every(isFine) ? names : undefined
}

/** A copy of plain JSON, without keys that pollute prototypes and without text that no database stores. */
export function cleanJson(value: unknown): unknown {
  let bytesLeft = resultBytesMax
  const copy = (node: unknown, depth: number): unknown => {
    if (depth > depthMax) throw invalid('a result nested too deeply')
    bytesLeft -= typeof node === 'string' ? Buffer.byteLength(node) + 2 : 1
    if (bytesLeft < 0)
      throw new Problem('output_limit_exceeded', { detail: `The result is larger than ${resultBytesMax} bytes.` })
    if (typeof node === 'string') return storable(node)
    if (Array.isArray(node)) return node.map((item) => copy(item, depth + 1))
    if (!isRecord(node)) return node
    const entries = Object.entries(node).filter(([key]) => key !== '__proto__')
    return Object.fromEntries(
      entries.map(([key, item]) => {
        bytesLeft -= key.length + 3
        return [storable(key), copy(item, depth + 1)]
      }),
    )
  }
  return copy(value, 0)
}

/** PostgreSQL takes neither NUL nor half a character. */
const storable = (text: string): string => text.toWellFormed().replaceAll('\0', '')

const readDetail = (value: unknown): string | undefined => {
  if (typeof value !== 'string') return undefined
  const line = storable(value).replaceAll(/\s+/g, ' ').trim().slice(0, detailCharactersMax)
  return line === '' ? undefined : line
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const invalid = (what: string): Problem =>
  new Problem('output_invalid', { detail: `The processor answered with ${what}.` })
