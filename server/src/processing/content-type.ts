// Content types and the patterns that pipelines and processors accept: type/subtype, type/* or */*.

const token = '[a-z0-9][a-z0-9!#$&^_.+-]*'
export const contentTypePattern = `^(?:\\*/\\*|${token}/(?:\\*|${token}))$`

/** Without parameters and in lower case. */
export const normalContentType = (contentType: string): string => (contentType.split(';')[0] ?? '').trim().toLowerCase()

/** 3 for the type itself, 2 for type/*, 1 for *\/*, 0 for a pattern that does not match. */
export function matchRank(pattern: string, contentType: string): 0 | 1 | 2 | 3 {
  const type = normalContentType(contentType)
  if (pattern === '*/*') return 1
  if (pattern.endsWith('/*')) return type.startsWith(pattern.slice(0, -1)) ? 2 : 0
  return pattern === type ? 3 : 0
}

/** The rank of the most specific pattern that matches. */
export const acceptRank = (accept: readonly string[], contentType: string): number =>
  Math.max(0, ...accept.map((pattern) => matchRank(pattern, contentType)))
