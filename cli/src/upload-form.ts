// One file to the server in one request: a form whose body is read from the disk while it is sent. Nothing of the file
// stays in memory, and the bytes that went out are hashed and compared with what the server says it received.

import { createHash } from 'node:crypto'
import path from 'node:path'
import { operationPath, operations, type UploadResult } from '@millrace/contract'
import type { LocalFile } from './local-files.ts'
import { withRetries } from './retry.ts'
import {
  changed,
  openFile,
  readPieces,
  streamed,
  type UploadDependencies,
  type UploadOptions,
  type UploadWatch,
} from './upload-request.ts'

/**
 * Uploads the file, again from its start when the connection breaks; the Idempotency-Key keeps a repeated one from
 * counting twice. Throws ApiProblem, Unreachable, or Failure when the file changes or cannot be read.
 */
export async function uploadByForm(
  deps: UploadDependencies,
  file: LocalFile,
  options: UploadOptions,
  watch: UploadWatch,
): Promise<UploadResult> {
  const idempotencyKey = deps.randomId()
  return withRetries(deps, deps.signal, async () => {
    await using handle = await openFile(file)
    const { size: sizeBytes } = await handle.stat()
    const boundary = `millrace-${deps.randomId()}`
    const head = formHead(boundary, path.basename(file.path), options)
    const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
    const hash = createHash('sha256')
    let broken: unknown
    const body = async function* () {
      yield head
      try {
        let sentBytes = 0
        watch.sent(sentBytes)
        // Never more bytes than were announced.
        for await (const piece of readPieces(handle, { start: 0, end: sizeBytes })) {
          hash.update(piece)
          yield piece
          sentBytes += piece.length
          watch.sent(sentBytes)
        }
        if ((await handle.stat()).size !== sizeBytes) throw changed(file)
      } catch (error) {
        broken = error
        throw error
      }
      yield tail
    }
    const { fileId } = options
    const [operation, params] =
      fileId === undefined ? [operations.uploadFile, {}] : [operations.uploadFileVersion, { file_id: fileId }]
    const init = {
      method: operation.method,
      headers: {
        'content-type': `multipart/form-data; boundary=${boundary}`,
        'content-length': String(head.length + sizeBytes + tail.length),
        'idempotency-key': idempotencyKey,
      },
      signal: deps.signal,
    }
    const response = await deps.api.once
      .fetchPath(operationPath(operation, { params }), streamed(init, body()))
      .catch((error: unknown) => {
        throw broken ?? error
      })
    // The server validates its answers against the contract, so the shape is the declared one.
    const result = (await response.json()) as UploadResult
    if (result.sha256 !== hash.digest('hex')) throw changed(file)
    return result
  })
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
