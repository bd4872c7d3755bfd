// What other people's files say about themselves, as JSON that a database takes: bounded, without binary data, NUL and
// broken characters.

const depthMax = 6
const keysMax = 300
const itemsMax = 100
const charactersMax = 2_000

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue }

/** `value` with everything left out that JSON has no word for, and that lies beyond the bounds. */
export function toJsonValue(value: unknown, depth = 0): JsonValue | undefined {
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'string') return cleanText(value)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (typeof value !== 'object' || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return undefined
  if (depth >= depthMax) return undefined
  if (Array.isArray(value))
    return value.slice(0, itemsMax).flatMap((item) => {
      const kept = toJsonValue(item, depth + 1)
      return kept === undefined ? [] : [kept]
    })
  const kept = Object.entries(value).flatMap(([key, item]) => {
    const cleaned = toJsonValue(item, depth + 1)
    return cleaned === undefined ? [] : [[cleanText(key).slice(0, 100), cleaned] as const]
  })
  return Object.fromEntries(kept.slice(0, keysMax))
}

/** Text without NUL and halves of characters, at most so long as anybody reads it. */
const cleanText = (text: string): string => text.slice(0, charactersMax).replaceAll('\0', '').trim().toWellFormed()
