// Conditional requests (RFC 9110, section 13): whether what a client has or expects is what there is. Dates are not
// compared, because we send none: a field that carries one is then to be ignored, and If-Range never holds.

import type { IncomingHttpHeaders } from 'node:http'

interface EntityTag {
  weak: boolean
  /** Quotes included. */
  tag: string
}

export type ConditionOutcome =
  /** If-Match names nothing that is there: 412. */
  | 'failed'
  /** The client has it: 304. */
  | 'current'
  | 'go on'

/** By the order of section 13.2.2; the tag is a strong one. */
export function checkConditions(headers: IncomingHttpHeaders, etag: string): ConditionOutcome {
  const expected = headers['if-match']
  // Strongly: a weak tag matches nothing.
  if (expected !== undefined && !matches(expected, ({ weak, tag }) => !weak && tag === etag)) return 'failed'
  const known = headers['if-none-match']
  return known !== undefined && matches(known, ({ tag }) => tag === etag) ? 'current' : 'go on'
}

/** Whether Range counts (section 13.1.5): the field is left out, or names this very representation by a strong tag. */
export const rangeHolds = ({ 'if-range': given }: IncomingHttpHeaders, etag: string): boolean =>
  given === undefined || given === etag

/** `*` matches whatever there is. A field that is no list of tags matches nothing. */
function matches(field: string, isOne: (tag: EntityTag) => boolean): boolean {
  if (field.trim() === '*') return true
  return parseEntityTags(field)?.some(isOne) ?? false
}

/** A tag may hold commas, so the list cannot be split at them. Undefined when it is none. */
function parseEntityTags(field: string): EntityTag[] | undefined {
  const tags: EntityTag[] = []
  const element = /[\t ]*(?:(W\/)?("[\x21\x23-\x7e\x80-\xff]*"))?[\t ]*(?:,|$)/y
  while (element.lastIndex < field.length) {
    const found = element.exec(field)
    if (found === null) return undefined
    if (found[2] !== undefined) tags.push({ weak: found[1] !== undefined, tag: found[2] })
  }
  return tags
}
