// structure/ tells whether a file is whole by the rules of its format: lengths that fit, checksums that hold, an end
// where there has to be one. It decodes no content: that is left to the steps that need it.
// Each check reads through FileBytes, in one pass and bounded memory, and takes any bytes whatsoever: what does not fit
// is a Problem (file_unreadable, file_encrypted) in the words of the file's owner, never a crash and never a loop.

import type { FileHandle } from 'node:fs/promises'
import { releaseBytes } from '../../../platform/owned-bytes.ts'
import { Problem } from '../../../platform/problem.ts'
import type { JsonValue } from '../../formats/json-value.ts'

export interface Structure {
  /** What was learned on the way: dimensions, counts, whether everything was looked at. */
  facts: Record<string, JsonValue>
  /** Where the format says that the file ends; absent when it does not say. */
  endsAt?: number
}

/** Problems: file_unreadable, file_encrypted. */
export type StructureCheck = (bytes: FileBytes) => Promise<Structure>

/** As much as is read at once, and the most that can be asked for: most photos whole, so that they are read only once. */
export const windowBytes = 4 * 1024 ** 2
/** As much as is read from a place that does not follow the one before. */
const leapBytes = 64 * 1024

/** Random access to a file through one window, so that small reads next to each other cost no system call. */
export class FileBytes {
  readonly sizeBytes: number
  readonly path: string
  readonly #file: FileHandle
  readonly #room: Buffer
  #window: Buffer = Buffer.alloc(0)
  #windowAt = 0
  constructor(file: FileHandle, path: string, sizeBytes: number) {
    this.#file = file
    this.path = path
    this.sizeBytes = sizeBytes
    // Only what was read is ever shown of it.
    this.#room = Buffer.allocUnsafeSlow(Math.min(windowBytes, sizeBytes))
  }

  /** `length` bytes from `at`, fewer at the end of the file. A view that holds until the next read. */
  async read(at: number, length: number): Promise<Buffer> {
    if (at < 0 || at >= this.sizeBytes || length <= 0) return Buffer.alloc(0)
    const end = Math.min(at + Math.min(length, windowBytes), this.sizeBytes)
    if (at < this.#windowAt || end > this.#windowAt + this.#window.length) await this.#move(at, end - at)
    return this.#window.subarray(at - this.#windowAt, end - this.#windowAt)
  }

  /** The bytes from `at` up to `end`, window by window. */
  async *pieces(at = 0, end = this.sizeBytes): AsyncGenerator<Buffer> {
    for (let next = at; next < Math.min(end, this.sizeBytes);) {
      const piece = await this.read(next, Math.min(windowBytes, end - next))
      if (piece.length === 0) return
      next += piece.length
      yield piece
    }
  }

  /** Gives its memory back: no view holds any more, and nothing can be read. */
  release(): void {
    releaseBytes(this.#room)
  }

  async #move(at: number, length: number): Promise<void> {
    const windowEnd = this.#windowAt + this.#window.length
    const isNext = at >= this.#windowAt && at <= windowEnd
    const wanted = isNext ? windowBytes : Math.max(length, leapBytes)
    const bytes = this.#room.subarray(0, Math.min(wanted, this.sizeBytes - at))
    let filled = 0
    while (filled < bytes.length) {
      const { bytesRead } = await this.#file.read(bytes, filled, bytes.length - filled, at + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    this.#window = bytes.subarray(0, filled)
    this.#windowAt = at
  }
}

/** "The picture is cut off: its end is missing." */
export const cutOff = (what: string, how = 'its end is missing'): Problem =>
  new Problem('file_unreadable', { detail: `The ${what} is cut off: ${how}.` })

/** "The picture is damaged: a checksum does not match." */
export const damaged = (what: string, how: string, cause?: unknown): Problem =>
  new Problem('file_unreadable', { detail: `The ${what} is damaged: ${how}.`, cause })
