// The upload form: one part "file" and, before or after it, the fields pipeline, metadata, priority and sha256.

import { lanes, type Lane } from '@millrace/contract'
import { checkFileName } from '../files/file-name.ts'
import { parseMetadata } from '../files/metadata.ts'
import { Problem } from '../platform/problem.ts'
import { declaredTypeOf } from './declared-type.ts'
import { boundaryOf, readForm, type FormPart } from './multipart.ts'

export interface UploadFields {
  pipeline?: string
  metadata?: Record<string, unknown>
  lane?: Lane
  /** Lower-case hex; what the bytes must have. */
  sha256?: string
  /** What the sender says that it is, where that is no part of the file itself. */
  declaredType?: string
}

export interface FormFile {
  /** As the sender gave it. */
  name: string
  /** What he says that it is. */
  declaredType?: string
  /** Each piece is valid until the next is asked for. */
  content: AsyncIterable<Buffer>
  /** The fields that came before it; more may follow. */
  fieldsBefore: Readonly<UploadFields>
}

export interface UploadFormOptions<T> {
  contentType: string | undefined
  body: AsyncIterable<Uint8Array>
  metadataBytesMax: number
  /** Takes the bytes to their end. What it answers stands only if the rest of the form is valid. */
  takeFile: (file: FormFile) => Promise<T>
}

export interface UploadForm<T> {
  file: T
  fields: UploadFields
}

/** A form that came to nothing after its file had been taken; whoever took it must let go of it. */
export class FormBroken<T> extends Error {
  readonly file: T
  constructor(file: T, cause: unknown) {
    super('The form broke after its file', { cause })
    this.file = file
  }
}

const fieldNames = ['pipeline', 'metadata', 'priority', 'sha256'] as const
type FieldName = (typeof fieldNames)[number]

/** Text of the other fields; longer is no name of anything. */
const shortFieldBytesMax = 1_000

/**
 * Reads the form once. Throws Problem invalid_form, invalid_request (a field's value), file_name_invalid,
 * upload_incomplete, and whatever takeFile throws; after takeFile has answered, FormBroken with one of these as its cause.
 */
export async function readUploadForm<T>(options: UploadFormOptions<T>): Promise<UploadForm<T>> {
  const fields: UploadFields = {}
  const seen = new Set<FieldName>()
  let file: { taken: T } | undefined
  try {
    for await (const part of readForm(options.body, boundaryOf(options.contentType))) {
      if (part.name === 'file') {
        if (file !== undefined) throw invalid('The form has more than one part "file".')
        const name = fileNameOf(part)
        const declaredType = declaredTypeOf(part.contentType)
        const given = { name, content: part.content, ...(declaredType !== undefined && { declaredType }) }
        file = { taken: await options.takeFile({ ...given, fieldsBefore: { ...fields } }) }
      } else {
        const name = fieldNameOf(part)
        if (seen.has(name)) throw invalid(`The form has more than one part "${name}".`)
        seen.add(name)
        const bytesMax = name === 'metadata' ? 2 * options.metadataBytesMax : shortFieldBytesMax
        setField(fields, name, await readText(part, bytesMax), options.metadataBytesMax)
      }
    }
  } catch (error) {
    throw file === undefined ? error : new FormBroken(file.taken, error)
  }
  if (file === undefined) throw invalid('The form has no part "file".')
  return { file: file.taken, fields }
}

function fileNameOf({ fileName }: FormPart): string {
  if (fileName === null) throw new Problem('file_name_invalid', { detail: 'It is not UTF-8.' })
  if (fileName === undefined) throw invalid('The part "file" has no filename: it was sent as text, not as a file.')
  if (fileName === '') throw invalid('The part "file" has an empty filename: no file was chosen.')
  return checkFileName(fileName)
}

function fieldNameOf({ name, fileName }: FormPart): FieldName {
  const known = fieldNames.find((fieldName) => fieldName === name)
  const expected = `Expected are file, ${fieldNames.join(', ')}.`
  if (known === undefined) throw invalid(`The form has a part that means nothing here. ${expected}`)
  if (fileName !== undefined) throw invalid(`The part "${known}" was sent as a file.`)
  return known
}

async function readText(part: FormPart, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of part.content) {
    sizeBytes += chunk.length
    if (sizeBytes > bytesMax)
      throw new Problem('invalid_request', { detail: `The part "${part.name}" is longer than ${bytesMax} bytes.` })
    chunks.push(Buffer.from(chunk)) // Copied, because the piece ends with the next one.
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The same fields where they come as texts by name, as in the metadata of tus. Throws invalid_request, pipeline_unknown. */
export function readFields(texts: ReadonlyMap<string, string>, metadataBytesMax: number): UploadFields {
  const fields: UploadFields = {}
  for (const name of fieldNames) setField(fields, name, texts.get(name) ?? '', metadataBytesMax)
  return fields
}

function setField(fields: UploadFields, name: FieldName, text: string, metadataBytesMax: number): void {
  // A form of a browser sends what was left empty.
  if (text === '') return
  switch (name) {
    case 'pipeline':
      if (text.includes('\0')) throw new Problem('pipeline_unknown')
      fields.pipeline = text
      return
    case 'metadata':
      fields.metadata = parseMetadata(text, metadataBytesMax)
      return
    case 'priority': {
      const lane = lanes.find((lane) => lane === text)
      if (lane === undefined)
        throw new Problem('invalid_request', { detail: `priority must be one of ${lanes.join(', ')}.` })
      fields.lane = lane
      return
    }
    case 'sha256':
      if (!/^[0-9a-f]{64}$/i.test(text))
        throw new Problem('invalid_request', { detail: 'sha256 must be 64 hex digits.' })
      fields.sha256 = text.toLowerCase()
  }
}

const invalid = (detail: string): Problem => new Problem('invalid_form', { detail })
