// An object store in memory whose bytes a test can reach and change.

import { Readable } from 'node:stream'
import { Problem } from '../../platform/problem.ts'
import type { ObjectStore } from '../object-store.ts'

export function createMemoryStore(): ObjectStore & { objects: Map<string, Buffer> } {
  const objects = new Map<string, Buffer>()
  const find = (key: string): Buffer => {
    const found = objects.get(key)
    if (found === undefined) throw new Problem('not_found')
    return found
  }
  return {
    objects,
    kind: 'disk',
    durability: 'none',
    capabilities: { conditionalPut: false, presign: false },
    async put(key, body) {
      const pieces: Uint8Array[] = []
      for await (const piece of body) pieces.push(Buffer.from(piece))
      objects.set(key, Buffer.concat(pieces))
      return { key, sizeBytes: find(key).length }
    },
    async get(key, { range } = {}) {
      const content = find(key)
      if (range !== undefined && range.start >= content.length) throw new Problem('range_not_satisfiable')
      const wanted = range === undefined ? content : content.subarray(range.start, range.end + 1)
      return Readable.from(inPieces(wanted), { objectMode: false })
    },
    head: async (key) => {
      const found = objects.get(key)
      return found && { key, sizeBytes: found.length }
    },
    delete: async (key) => void objects.delete(key),
    async copy(from, to) {
      objects.set(to, find(from))
      return { key: to, sizeBytes: find(to).length }
    },
    async list({ prefix, after = '', limit }) {
      const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort()
      return keys.slice(0, limit).map((key) => ({ key, sizeBytes: find(key).length, modifiedAt: new Date() }))
    },
    close: async () => {},
  }
}

/** Pieces of a length that fits no chunk, as a network would give them, with memory of their own. */
function* inPieces(content: Buffer): Generator<Buffer> {
  for (let offset = 0; offset < content.length; offset += 10_007)
    yield Buffer.from(content.subarray(offset, offset + 10_007))
}
