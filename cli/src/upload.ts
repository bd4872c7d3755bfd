// One file to the server: a form whose body is read from the disk while it is sent. Nothing of the file stays in
// memory, and the bytes that went out are hashed and compared with what the server says it received.

import { createHash, type Hash } from 'node:crypto'
import { open, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { operationPath, operations, type Lane, type UploadResult } from '@millrace/contract'
import type { Api } from './api.ts'
import { Failure, exitCodes } from './failure.ts'
import type { LocalFile } from './local-files.ts'
import { withRetries, type Patience } from './retry.ts'

export interface UploadOptions {
  pipeline?: string | undefined
  metadata?: string | undefined
  priority?: Lane | undefined
}

export interface UploadDependencies extends Patience {
  api: Api
  signal: AbortSignal
  randomId: () => string
}

const readBytes = 256 * 1024

/**
 * Uploads the file, again from its start when the connection breaks; the Idempotency-Key keeps a repeated one from
 * counting twice. Throws ApiProblem, Unreachable, or Failure when the file changes or cannot be read.
 */
export async function uploadFile(
  deps: UploadDependencies,
  file: LocalFile,
  options: UploadOptions,
  onProgress: (sentBytes: number) => void,
): Promise<UploadResult> {
  const idempotencyKey = deps.randomId()
  return withRetries(deps, deps.signal, async () => {
    await using handle = await open(file.path).catch((error: unknown) => {
      throw unreadable(file, error)
    })
    const { size: sizeBytes } = await handle.stat()
    const boundary = `millrace-${deps.randomId()}`
    const head = formHead(boundary, path.basename(file.path), options)
    const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
    const hash = createHash('sha256')
    let broken: unknown
    const body = async function* () {
      yield head
      try {
        yield* readWhole({ handle, sizeBytes, hash, onProgress })
        if ((await handle.stat()).size !== sizeBytes) throw changed(file)
      } catch (error) {
        broken = error
        throw error
      }
      yield tail
    }
    const init = {
      method: operations.uploadFile.method,
      headers: {
        'content-type': `multipart/form-data; boundary=${boundary}`,
        'content-length': String(head.length + sizeBytes + tail.length),
        'idempotency-key': idempotencyKey,
      },
      body: ReadableStream.from(body()),
      // Without it fetch refuses a body that is a stream.
      duplex: 'half',
      signal: deps.signal,
    }
    const response = await deps.api.once
      .fetchPath(operationPath(operations.uploadFile, {}), init as RequestInit)
      .catch((error: unknown) => {
        throw broken ?? error
      })
    // The server validates its answers against the contract, so the shape is the declared one.
    const result = (await response.json()) as UploadResult
    if (result.sha256 !== hash.digest('hex')) throw changed(file)
    return result
  })
}

interface Reading {
  handle: FileHandle
  sizeBytes: number
  hash: Hash
  onProgress: (sentBytes: number) => void
}

/** Never more bytes than were announced; fewer when the file has become shorter. */
async function* readWhole({ handle, sizeBytes, hash, onProgress }: Reading): AsyncGenerator<Uint8Array> {
  onProgress(0)
  for (let sentBytes = 0; sentBytes < sizeBytes;) {
    const lengthBytes = Math.min(readBytes, sizeBytes - sentBytes)
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(lengthBytes), 0, lengthBytes, sentBytes)
    if (bytesRead === 0) return
    const piece = buffer.subarray(0, bytesRead)
    hash.update(piece)
    yield piece
    sentBytes += bytesRead
    onProgress(sentBytes)
  }
}

/** The fields stand before the file, because the server reads the form as it streams in. */
function formHead(boundary: string, name: string, { pipeline, metadata, priority }: UploadOptions): Buffer {
  const field = (field: string, value: string | undefined): string =>
    value === undefined ? '' : `--${boundary}\r\ncontent-disposition: form-data; name="${field}"\r\n\r\n${value}\r\n`
  // As the HTML standard writes a filename into a form.
  const fileName = name.replaceAll('\n', '%0A').replaceAll('\r', '%0D').replaceAll('"', '%22')
  return Buffer.from(
    field('pipeline', pipeline) +
      field('metadata', metadata) +
      field('priority', priority) +
      `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${fileName}"\r\n` +
      'content-type: application/octet-stream\r\n\r\n',
  )
}

function changed(file: LocalFile): Failure {
  const title = 'The file changed while it was being sent.'
  return new Failure(exitCodes.failed, { title, detail: file.label, remedy: 'Send it when nothing writes to it.' })
}

function unreadable(file: LocalFile, error: unknown): Failure {
  const detail = error instanceof Error ? error.message : String(error)
  return new Failure(
    exitCodes.failed,
    { title: 'The file cannot be read.', detail, remedy: `Check ${file.label}.` },
    error,
  )
}
