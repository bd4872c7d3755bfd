// Where an output goes on this disk. Names come from uploaders, archives and processors: none of them may leave the
// folder, hide, collide, or be one that an operating system treats as a device.

import path from 'node:path'

const segmentBytesMax = 200
const segmentsMax = 32
const reserved = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/i

/** One name as one segment of a path, never empty, never "." or "..". */
export function safeSegment(name: string): string {
  // eslint-disable-next-line no-control-regex
  const tame = name.replaceAll(/[\u0000-\u001f\u007f-\u009f"*/:<>?\\|\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, '_')
  const trimmed = cut(tame.toWellFormed())
    .replace(/^[. ]+/, '_')
    .replace(/[. ]+$/, '_')
  return trimmed === '' || reserved.test(trimmed) ? `_${trimmed}` : trimmed
}

/** At most so many bytes, the extension kept. */
function cut(name: string): string {
  if (Buffer.byteLength(name) <= segmentBytesMax) return name
  const { ext } = path.parse(name)
  const tail = Buffer.byteLength(ext) <= 20 ? ext : ''
  let head = name.slice(0, segmentBytesMax)
  while (Buffer.byteLength(head + tail) > segmentBytesMax) head = head.slice(0, -1)
  return head.toWellFormed().replaceAll('\ufffd', '') + tail
}

/** A name with folders in it, such as that of a member of an archive. */
export function safeRelativePath(name: string): string {
  const segments = name.split(/[/\\]/).filter((segment) => segment !== '' && segment !== '.')
  return path.join(...(segments.length === 0 ? ['_'] : segments.slice(-segmentsMax).map(safeSegment)))
}

/** Gives every taker a path of his own, also where the disk does not tell upper from lower case. */
export function createPathBook(): { take(wanted: string): string } {
  const taken = new Set<string>()
  const keyOf = (text: string): string => text.normalize('NFC').toLowerCase()
  return {
    take(wanted) {
      const { dir, name, ext } = path.parse(wanted)
      for (let number = 1; ; number++) {
        const candidate = number === 1 ? wanted : path.join(dir, `${name} (${number})${ext}`)
        if (taken.has(keyOf(candidate))) continue
        taken.add(keyOf(candidate))
        return candidate
      }
    },
  }
}
