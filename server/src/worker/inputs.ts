// The inputs of a task: decrypted into its folder, under numbers. The owner's names are passed on as text and never
// become paths.

import { closeSync, openSync, writev } from 'node:fs'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { releaseBytes } from '../platform/owned-bytes.ts'
import { Problem } from '../platform/problem.ts'
import type { InputFile } from '../pipeline/processor.ts'
import type { TaskAssignment, TaskInputFile } from '../processing/task.ts'
import type { SealedObject, Vault } from '../storage/vault.ts'
import type { KeptInputs } from './sandbox/kept-inputs.ts'

export interface InputSources {
  vault: Vault
  findObject(objectId: string): Promise<SealedObject | undefined>
}

/** Writes all inputs; throws Problem object_damaged for one that is gone, is not the tenant's, or does not verify, and key_destroyed. */
export async function writeInputs(
  sources: InputSources,
  task: TaskAssignment,
  options: { folder: string; keptInputs: KeptInputs; signal: AbortSignal },
): Promise<InputFile[]> {
  const written: InputFile[] = []
  for (const [index, file] of task.input.files.entries()) {
    const object = await sources.findObject(file.objectId)
    if (object === undefined || object.tenantId !== task.tenantId) throw gone()
    const fullPath = path.join(options.folder, String(index))
    await writeInput(sources, object, { ...options, fullPath })
    written.push(toInputFile(file, fullPath))
  }
  return written
}

async function writeInput(
  { vault }: InputSources,
  object: SealedObject,
  { fullPath, keptInputs, signal }: { fullPath: string; keptInputs: KeptInputs; signal: AbortSignal },
): Promise<void> {
  if (keptInputs.has(object)) {
    // Without its key it has been erased, although it is still kept in clear.
    await vault.requireKey(object)
    if (await keptInputs.give(object, fullPath)) return
  }
  await writeAll(await vault.read(object, { signal }), fullPath)
  keptInputs.keep(object, fullPath)
}

/** What a processor is told of an input. */
export const toInputFile = (file: TaskInputFile, fullPath: string): InputFile => ({
  path: fullPath,
  name: file.name,
  contentType: file.contentType,
  sizeBytes: file.sizeBytes,
  from: file.from,
})

const gone = (): Problem => new Problem('object_damaged', { detail: 'An input of the step is no longer stored.' })

/** Gathered, because a decrypted stream comes in pieces of a few kilobytes, and each write is a trip to the kernel. */
const gatheredBytesMax = 1024 ** 2

async function writeAll(content: Readable, fullPath: string): Promise<void> {
  // Opened and closed without waiting: these only touch a name, and a trip through the thread pool costs more.
  const descriptor = openSync(fullPath, 'wx', 0o400)
  try {
    let pieces: Buffer[] = []
    let gatheredBytes = 0
    for await (const piece of content as AsyncIterable<Buffer>) {
      pieces.push(piece)
      gatheredBytes += piece.length
      if (gatheredBytes < gatheredBytesMax) continue
      await writeEverything(descriptor, pieces)
      pieces = []
      gatheredBytes = 0
    }
    if (pieces.length > 0) await writeEverything(descriptor, pieces)
  } finally {
    content.destroy()
    closeSync(descriptor)
  }
}

const writePieces = promisify(writev)

/** A write may be cut short, e.g. on a disk that is nearly full; the next one then says why. */
async function writeEverything(descriptor: number, pieces: Buffer[]): Promise<void> {
  const { bytesWritten } = await writePieces(descriptor, pieces)
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  if (bytesWritten < length) await writeEverything(descriptor, [Buffer.concat(pieces).subarray(bytesWritten)])
  for (const piece of pieces) releaseBytes(piece)
}
