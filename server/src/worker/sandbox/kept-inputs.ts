// Inputs of tasks that were decrypted a moment ago, for the next steps of the same file: most pipelines give one file to
// three or four steps, and each would fetch, decrypt and verify it anew. What is kept is an open descriptor of the file
// that the task was given. It has no name any more once that task is over: no child can reach it, nobody finds it in a
// folder, and it is gone with this process, however that ends. A later task gets a copy of its own, made by the kernel.
// Invariants: nothing is given to another tenant; nothing is kept longer than a warm child, or beyond the bounds below;
// a descriptor is not closed while it is copied from, since its number would then be another file's.

import { closeSync, constants, openSync, statfsSync } from 'node:fs'
import { copyFile, stat, unlink } from 'node:fs/promises'
import { platform } from 'node:os'
import type { Clock } from '../../platform/clock.ts'

/** An object's content, which never changes. */
export interface KeptObject {
  objectId: string
  tenantId: number
  sizeBytes: number
}

export interface KeptInputs {
  /** Whether `give` would find it. */
  has(object: KeptObject): boolean
  /** Writes the content to `fullPath`, where nothing is yet; false when it is not kept. */
  give(object: KeptObject, fullPath: string): Promise<boolean>
  /** Remembers the content of this file, which nobody changes any more. */
  keep(object: KeptObject, fullPath: string): void
  /** Forgets all. */
  close(): void
}

interface Kept extends KeptObject {
  descriptor: number
  usedMs: number
  readersCount: number
  isForgotten: boolean
}

const bytesMaxDefault = 256 * 1024 ** 2
/** Of a disk that is small, the rest is for the tasks. */
const freeShare = 0.25
const filesMax = 250
const keptMsMax = 60_000
const sweepEveryMs = 10_000

const hasDescriptorPaths = platform() === 'linux'

export function createKeptInputs(options: { folder: string; clock: Clock; bytesMax?: number }): KeptInputs {
  const { clock } = options
  const { bavail, bsize } = statfsSync(options.folder)
  const bytesMax = Math.min(options.bytesMax ?? bytesMaxDefault, bavail * bsize * freeShare)
  /** By object, the one that was used last at the end. */
  const kept = new Map<string, Kept>()
  let keptBytes = 0

  const closeUnused = ({ isForgotten, readersCount, descriptor }: Kept): void => {
    if (isForgotten && readersCount === 0) closeSync(descriptor)
  }
  const forget = (found: Kept): void => {
    kept.delete(found.objectId)
    keptBytes -= found.sizeBytes
    found.isForgotten = true
    closeUnused(found)
  }
  const forgetWhile = (isTooMuch: (oldest: Kept) => boolean): void => {
    for (const oldest of kept.values()) {
      if (!isTooMuch(oldest)) return
      forget(oldest)
    }
  }
  const forgetOld = (): void => forgetWhile(({ usedMs }) => clock.monotonicMs() - usedMs >= keptMsMax)
  const sweep = setInterval(forgetOld, sweepEveryMs).unref()

  const find = ({ objectId, tenantId, sizeBytes }: KeptObject): Kept | undefined => {
    forgetOld()
    const found = kept.get(objectId)
    return found?.tenantId === tenantId && found.sizeBytes === sizeBytes ? found : undefined
  }

  return {
    has: (object) => find(object) !== undefined,
    async give(object, fullPath) {
      const found = find(object)
      if (found === undefined) return false
      found.usedMs = clock.monotonicMs()
      kept.delete(found.objectId)
      kept.set(found.objectId, found)
      found.readersCount++
      try {
        return await copied(found, fullPath)
      } finally {
        found.readersCount--
        closeUnused(found)
      }
    },
    keep({ objectId, tenantId, sizeBytes }, fullPath) {
      if (!hasDescriptorPaths || sizeBytes > bytesMax || kept.has(objectId)) return
      let descriptor: number
      try {
        descriptor = openSync(fullPath, 'r')
      } catch {
        return // As with too many open files: it will be read again.
      }
      const usedMs = clock.monotonicMs()
      kept.set(objectId, { objectId, tenantId, sizeBytes, descriptor, usedMs, readersCount: 0, isForgotten: false })
      keptBytes += sizeBytes
      forgetWhile(() => keptBytes > bytesMax || kept.size > filesMax)
    },
    close() {
      clearInterval(sweep)
      forgetWhile(() => true)
    },
  }
}

/** False, and nothing there, when it cannot be done: whoever asked then reads the object, and meets the same obstacle. */
async function copied({ descriptor, sizeBytes }: Kept, fullPath: string): Promise<boolean> {
  try {
    await copyFile(`/proc/self/fd/${descriptor}`, fullPath, constants.COPYFILE_EXCL)
  } catch {
    return false
  }
  if ((await stat(fullPath)).size === sizeBytes) return true
  await unlink(fullPath)
  return false
}
