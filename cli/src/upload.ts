// Files to the server, so many at a time: small ones by a form, in one request; large ones by tus, so that a cut costs
// only what was on the way.

import type { UploadResult } from '@millrace/contract'
import type { Api } from './api.ts'
import type { Context } from './command.ts'
import { createGate } from './concurrency.ts'
import type { LocalFile } from './local-files.ts'
import type { Progress } from './progress.ts'
import { formatCount } from './text.ts'
import { uploadByForm } from './upload-form.ts'
import { createUploadMemory } from './upload-memory.ts'
import type { UploadOptions } from './upload-request.ts'
import { uploadByTus } from './upload-tus.ts'

/** Smaller ones are sent again sooner than asked after. */
const resumableFromBytes = 16 * 1024 * 1024

export interface UploaderOptions {
  context: Context
  api: Api
  /** Server and tenant: what was begun for one is not gone on with for another. */
  account: string
  progress: Progress
  signal: AbortSignal
  upload: UploadOptions
  parallelCount: number
}

export interface Uploader {
  /** Waits for its turn. Throws ApiProblem, Unreachable, Failure, and the signal's reason. */
  send(file: LocalFile, onBegin?: () => void): Promise<UploadResult>
  /** Tells of what has arrived of files that are not through. */
  tellKept(): void
}

export function createUploader(options: UploaderOptions): Uploader {
  const { context, api, account, progress, signal, upload, parallelCount } = options
  const { console } = context
  const gate = createGate(parallelCount)
  const memory = createUploadMemory({
    ...context,
    account,
    onUnwritable: (folder) => console.note(`${folder} cannot be written: what is cut off now begins anew later.`),
  })
  const deps = { ...context, api, signal, memory }
  return {
    send: (file, onBegin) =>
      gate(async () => {
        signal.throwIfAborted()
        onBegin?.()
        const { label, sizeBytes } = file
        const watch = {
          sent: (bytes: number) => progress.sending(label, bytes, sizeBytes),
          resumed: (bytes: number) => progress.resumed(label, bytes, sizeBytes),
        }
        return sizeBytes > resumableFromBytes
          ? uploadByTus(deps, file, upload, watch)
          : uploadByForm(deps, file, upload, watch)
      }),
    tellKept() {
      const { keptCount } = memory
      if (keptCount === 0) return
      const files = formatCount(keptCount, 'large file')
      console.note(`What has arrived of ${files} is kept for a day: the same command goes on from there.`)
    },
  }
}
