// What came out of a sandbox, looked at from outside before anybody believes in it: regular files of the task's own
// output folder, within their limits, with the beginning that their type has. Each is read once, from one descriptor,
// so that what was checked is what is stored.

import { fstatSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { releaseBytes } from '../platform/owned-bytes.ts'
import { Problem } from '../platform/problem.ts'
import type { OutputFile } from '../pipeline/processor.ts'
import { sniffBytes, sniffContentType } from '../pipeline/formats/sniff.ts'
import type { TaskOutput } from '../processing/task.ts'
import type { SealedObject, Vault } from '../storage/vault.ts'
import { namesOf } from './outcome.ts'
import { errorCode, openBeneath } from './sandbox/beneath.ts'

export interface StoreOutputs {
  vault: Vault
  tenantId: number
  /** Folder of the store: results/<job>/<task>/<epoch>. */
  storeFolder: string
  outputFolder: string
  /** Of all outputs together. */
  bytesMax: number
  signal: AbortSignal
  /** Called for each object as soon as it is stored, so that the caller can remove it again. */
  onStored(object: SealedObject): void
}

/** Throws Problem output_invalid, output_limit_exceeded, and what the store throws. */
export async function storeOutputs(outputs: readonly OutputFile[], options: StoreOutputs): Promise<TaskOutput[]> {
  const stored: TaskOutput[] = []
  let bytesLeft = options.bytesMax
  for (const output of outputs) {
    const object = await storeOutput(output, { ...options, bytesMax: bytesLeft })
    options.onStored(object)
    bytesLeft -= object.sizeBytes
    stored.push({ name: output.name, contentType: output.contentType, object, as: output.as ?? 'output' })
  }
  return stored
}

async function storeOutput(output: OutputFile, options: StoreOutputs): Promise<SealedObject> {
  const handle = await openOutput(output, options.outputFolder)
  try {
    const stat = fstatSync(handle.fd) // What is open is known without a look at the disk.
    // A second name could be that of a file which the task may not read, or go on to change.
    if (!stat.isFile() || stat.nlink !== 1) throw invalid('an output that is no plain file')
    if (stat.size > options.bytesMax) throw tooMuch()
    return await options.vault.write({
      tenantId: options.tenantId,
      content: checkedContent(handle, output, stat.size),
      folder: options.storeFolder,
      sizeBytesMax: options.bytesMax,
      signal: options.signal,
    })
  } catch (error) {
    throw error instanceof Problem && error.code === 'file_too_large' ? tooMuch() : error
  } finally {
    await handle.close()
  }
}

async function openOutput(output: OutputFile, outputFolder: string): Promise<FileHandle> {
  const names = namesOf(output.path)
  if (names === undefined) throw invalid('an output outside its folder')
  try {
    return await openBeneath(outputFolder, names)
  } catch (error) {
    const code = errorCode(error) ?? ''
    if (code === 'ENOENT') throw invalid('an output that is not there', error)
    if (['ELOOP', 'ENOTDIR', 'EACCES', 'ENXIO', 'EISDIR', 'EMLINK', 'ENAMETOOLONG', 'EPERM'].includes(code))
      throw invalid('an output that is no plain file', error)
    throw error
  }
}

const pieceBytesMax = 1024 ** 2

/** Read once and checked on the way: what is told from the first bytes is told of the very bytes that are stored. */
async function* checkedContent(handle: FileHandle, output: OutputFile, sizeBytes: number): AsyncGenerator<Buffer> {
  // A byte more than is expected, so that a small file is seen to end with its first read.
  const pieceBytes = Math.min(pieceBytesMax, Math.max(sizeBytes + 1, sniffBytes))
  for (let isFirst = true; ; isFirst = false) {
    const buffer = Buffer.allocUnsafeSlow(pieceBytes)
    const { bytesRead } = await handle.read(buffer, 0, pieceBytes, null)
    const piece = buffer.subarray(0, bytesRead)
    // A member of an archive is what its owner packed; its type is judged in its own job.
    if (isFirst && output.as !== 'file') checkType(piece, output)
    if (bytesRead > 0) yield piece
    releaseBytes(buffer) // Whoever asks for the next piece has done with this one.
    if (bytesRead < pieceBytes) return
  }
}

/** Throws Problem('output_invalid') when the first bytes speak against the type that the processor tells. */
export function checkType(head: Uint8Array, { name, contentType }: Pick<OutputFile, 'name' | 'contentType'>): void {
  const sniffed = sniffContentType(head, name)
  if (head.length === 0 || sniffed === contentType) return
  const isOther = hasSignature.test(contentType)
    ? !families.some((family) => family.test(contentType) && family.test(sniffed))
    : textual.test(contentType) && !textual.test(sniffed) && sniffed !== 'application/octet-stream'
  if (isOther) throw invalid('an output of another type than it tells')
}

const textual =
  /^(?:text\/.*|application\/(?:json|jsonl|x-ndjson|geo\+json|xml|yaml|sql|x-subrip|x-tex|rtf)|message\/rfc822|.*\+(?:json|xml))$/

/** Formats that are told by their first bytes alone. */
const hasSignature =
  /^(?:image\/(?:jpeg|png|webp|gif|avif|tiff)|application\/(?:pdf|gzip|zstd|vnd\.apache\.parquet)|video\/(?:mp4|webm)|audio\/(?:mpeg|mp4|ogg|flac|wav))$/

/** Containers of sound and of film begin alike. */
const families = [
  /^(?:audio|video)\/(?:mp4|quicktime)$/,
  /^(?:audio|video|application)\/ogg$/,
  /^(?:audio|video)\/(?:webm|matroska)$/,
]

const invalid = (what: string, cause?: unknown): Problem =>
  new Problem('output_invalid', { detail: `The processor produced ${what}.`, ...(cause !== undefined && { cause }) })

const tooMuch = (): Problem =>
  new Problem('output_limit_exceeded', { detail: 'The files that the step produced are larger than its limit.' })
