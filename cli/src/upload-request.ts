// What every way of sending a file takes and tells, and what can be wrong with the file itself.

import { open, type FileHandle } from 'node:fs/promises'
import type { Lane } from '@millrace/contract'
import type { Api } from './api.ts'
import { Failure, exitCodes } from './failure.ts'
import type { LocalFile } from './local-files.ts'
import type { Patience } from './retry.ts'

export interface UploadOptions {
  pipeline?: string | undefined
  /** JSON, an object. */
  metadata?: string | undefined
  priority?: Lane | undefined
  /** The file that gets a new version; left out: a new file. */
  fileId?: string | undefined
}

export interface UploadDependencies extends Patience {
  api: Api
  signal: AbortSignal
  randomId: () => string
}

/** Told while a file is sent. */
export interface UploadWatch {
  sent(sentBytes: number): void
  /** An earlier command has sent so much, and this one goes on from there. */
  resumed(sentBytes: number): void
}

/** The caller closes it. Throws Failure. */
export async function openFile(file: LocalFile): Promise<FileHandle> {
  return open(file.path).catch((error: unknown) => {
    const detail = error instanceof Error ? error.message : String(error)
    const told = { title: 'The file cannot be read.', detail, remedy: `Check ${file.label}.` }
    throw new Failure(exitCodes.failed, told, error)
  })
}

const readBytes = 256 * 1024

/** The bytes from start to end; fewer when the file has become shorter. */
export async function* readPieces(
  handle: FileHandle,
  { start, end }: { start: number; end: number },
): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end;) {
    const lengthBytes = Math.min(readBytes, end - at)
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(lengthBytes), 0, lengthBytes, at)
    if (bytesRead === 0) return
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

export function changed(file: LocalFile): Failure {
  const title = 'The file changed while it was being sent.'
  return new Failure(exitCodes.failed, { title, detail: file.label, remedy: 'Send it when nothing writes to it.' })
}

/** A request whose body is read from the disk while it is sent; fetch refuses such a body without duplex. */
export const streamed = (init: RequestInit, body: AsyncIterable<Uint8Array>): RequestInit => ({
  ...init,
  body: ReadableStream.from(body),
  duplex: 'half',
})
