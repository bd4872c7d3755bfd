// The Range header field (RFC 9110, section 14): which bytes of a representation somebody wants.

import type { ByteRange } from '../storage/object-store.ts'

export type RangeWish =
  /** All of it: nothing else was asked for, or it was asked in a way that is to be ignored. */
  | { readonly kind: 'whole' }
  | { readonly kind: 'ranges'; readonly ranges: readonly ByteRange[] }
  | { readonly kind: 'unsatisfiable' }

/** More of them are no reader's wish but somebody's play. */
const rangesCountMax = 50

/** In ascending order, without overlaps; ranges that touch or nearly touch are one. */
export function parseRange(header: string | undefined, sizeBytes: number): RangeWish {
  const match = /^bytes\s*=\s*(.*)$/i.exec(header?.trim() ?? '')
  if (match?.[1] === undefined) return { kind: 'whole' }
  const specs = match[1].split(',').map((spec) => spec.trim())
  if (specs.length > rangesCountMax) return { kind: 'whole' }
  const ranges: ByteRange[] = []
  for (const spec of specs) {
    if (spec === '') continue
    const parts = /^(\d*)-(\d*)$/.exec(spec)
    if (parts === null || spec === '-') return { kind: 'whole' }
    const [first, last] = [parts[1] ?? '', parts[2] ?? '']
    if (first !== '' && last !== '' && Number(last) < Number(first)) return { kind: 'whole' }
    const range = toRange(first, last, sizeBytes)
    if (range !== undefined) ranges.push(range)
  }
  return ranges.length === 0 ? { kind: 'unsatisfiable' } : { kind: 'ranges', ranges: coalesce(ranges) }
}

function toRange(first: string, last: string, sizeBytes: number): ByteRange | undefined {
  if (first === '') {
    const suffixBytes = Math.min(Number(last), sizeBytes)
    return suffixBytes === 0 ? undefined : { start: sizeBytes - suffixBytes, end: sizeBytes - 1 }
  }
  if (Number(first) >= sizeBytes) return undefined
  return { start: Number(first), end: last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) }
}

/** A gap shorter than the lines that would separate two parts is cheaper sent. */
const gapBytesMax = 80

function coalesce(ranges: ByteRange[]): ByteRange[] {
  const merged: ByteRange[] = []
  for (const range of ranges.sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1)
    if (last !== undefined && range.start <= last.end + 1 + gapBytesMax) last.end = Math.max(last.end, range.end)
    else merged.push({ ...range })
  }
  return merged
}
