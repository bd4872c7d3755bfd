// Content on its way into a store: encrypted as a whole where it is small, as a stream where it is not, and gone again
// when anything of that fails.

import type { Log } from '../platform/log.ts'
import { releaseBytes } from '../platform/owned-bytes.ts'
import { invariant, Problem } from '../platform/problem.ts'
import { WholeContent } from '../platform/whole-content.ts'
import { encryptContent, encryptWhole, SlabRing, type EncryptedContent, type EncryptOptions } from './content-cipher.ts'
import { gather } from './gathered-content.ts'
import type { ObjectStore } from './object-store.ts'

/** How content is encrypted and what is asked of it. */
interface PutEncrypted extends Omit<EncryptOptions, 'slabs' | 'onEnd' | 'onSize'> {
  onSize: (sizeBytes: number) => void
  /** Throws to refuse the whole. */
  check?: (found: EncryptedContent) => void
}

/** Encrypts and puts; nothing stays behind after a failure. Throws what the content, its checks and the store throw. */
type PutEncryptedContent = (
  storeKey: string,
  encrypt: PutEncrypted,
  signal: AbortSignal | undefined,
) => Promise<EncryptedContent>

/** Content up to this length is encrypted and stored in one piece. */
const wholeBytesMax = 256 * 1024
const removeTimeoutMs = 30_000

export function createEncryptedPut({ store, log }: { store: ObjectStore; log: Log }): PutEncryptedContent {
  /** After a failed write the store may hold the object all the same, when only its answer was lost. */
  const removeAfterFailure = async (storeKey: string): Promise<void> => {
    try {
      await store.delete(storeKey, { signal: AbortSignal.timeout(removeTimeoutMs) })
    } catch (error) {
      log.warn('storage.cleanup_failed', { storeKey, error: String(error) })
    }
  }

  const putEncrypted: PutEncryptedContent = async (storeKey, encrypt, signal) => {
    const { content, onSize, partSizeBytes } = encrypt
    const bytesMax = Math.min(wholeBytesMax, partSizeBytes)
    const gathered = await gather(content, { bytesMax, onSize, signal })
    if ('whole' in gathered) return putWhole(storeKey, gathered.whole, encrypt, signal)
    try {
      return await putStream(storeKey, { ...encrypt, content: gathered.pieces }, signal)
    } finally {
      gathered.close() // A store that is away asks for no piece.
    }
  }

  const putWhole = async (
    storeKey: string,
    content: Buffer,
    { objectKey, place, version, firstPart, hash, check }: PutEncrypted,
    signal: AbortSignal | undefined,
  ): Promise<EncryptedContent> => {
    const { stored, found } = encryptWhole({
      content,
      objectKey,
      place,
      version,
      ...(firstPart !== undefined && { part: firstPart }),
      ...(hash !== undefined && { hash }),
    })
    releaseBytes(content)
    check?.(found)
    await put(storeKey, new WholeContent(stored), {
      storedBytes: () => stored.length,
      sizeBytes: stored.length,
      signal,
    })
    releaseBytes(stored)
    return found
  }

  const putStream = async (
    storeKey: string,
    { check, ...encryption }: PutEncrypted,
    signal: AbortSignal | undefined,
  ): Promise<EncryptedContent> => {
    let found: EncryptedContent | undefined
    const onEnd = (content: EncryptedContent): void => {
      check?.(content)
      found = content
    }
    const slabs = new SlabRing()
    const stored = encryptContent({ ...encryption, slabs, onEnd })
    await put(storeKey, stored, { storedBytes: () => found?.storedBytes, signal })
    slabs.release()
    invariant(found, 'what was put was encrypted to its end')
    return found
  }

  /** Throws when the store has not kept as much as it was given, and then removes it. */
  const put = async (
    storeKey: string,
    stored: AsyncIterable<Uint8Array>,
    options: { storedBytes: () => number | undefined; sizeBytes?: number; signal: AbortSignal | undefined },
  ): Promise<void> => {
    const { sizeBytes, signal } = options
    try {
      const info = await store.put(storeKey, stored, {
        ...(sizeBytes !== undefined && { sizeBytes }),
        ...(signal !== undefined && { signal }),
      })
      if (info.sizeBytes !== options.storedBytes())
        throw new Problem('storage_unavailable', { detail: 'The store kept another length than it was given' })
    } catch (error) {
      await removeAfterFailure(storeKey)
      throw error
    }
  }

  return putEncrypted
}
