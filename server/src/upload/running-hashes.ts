// SHA-256 of uploads that are under way, so that an upload that is continued in the same process need not be read again
// for it at the end. Only a shortcut: what is not remembered is computed from the stored bytes.

import { createHash, type Hash } from 'node:crypto'
import type { RowId } from '../platform/ids.ts'

export interface RunningHashes {
  /** A hash that has seen the content of the session up to the offset, to go on with; undefined when nobody here has it. */
  at(id: RowId<'upload'>, offsetBytes: number): Hash | undefined
  /** Keeps what it has seen up to the offset. */
  put(id: RowId<'upload'>, offsetBytes: number, hash: Hash): void
  forget(id: RowId<'upload'>): void
}

/** A few hundred bytes each. */
const sessionsCountMax = 10_000

export function createRunningHashes(): RunningHashes {
  const hashes = new Map<RowId<'upload'>, { offsetBytes: number; hash: Hash }>()
  return {
    at(id, offsetBytes) {
      if (offsetBytes === 0) return createHash('sha256')
      const found = hashes.get(id)
      return found?.offsetBytes === offsetBytes ? found.hash.copy() : undefined
    },
    put(id, offsetBytes, hash) {
      hashes.delete(id)
      hashes.set(id, { offsetBytes, hash: hash.copy() })
      const oldest = hashes.keys().next()
      if (hashes.size > sessionsCountMax && oldest.done !== true) hashes.delete(oldest.value)
    },
    forget: (id) => void hashes.delete(id),
  }
}
