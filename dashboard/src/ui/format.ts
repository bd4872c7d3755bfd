// Figures as people read them. Decimal units, as disks and networks are sold.

const sizeUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** 0 B, 999 B, 1.5 kB, 24 MB: three figures at most, and never "1000 kB". */
export function formatBytes(sizeBytes: number): string {
  let value = Math.max(sizeBytes, 0)
  let unit = 0
  while (roundThree(value) >= 1_000 && unit < sizeUnits.length - 1) {
    value /= 1_000
    unit += 1
  }
  return `${unit === 0 ? Math.round(value) : roundThree(value)} ${sizeUnits[unit]}`
}

const roundThree = (value: number): number => {
  if (value >= 100) return Math.round(value)
  return value >= 10 ? Math.round(value * 10) / 10 : Math.round(value * 100) / 100
}

/** 340 ms, 4.2 s, 3 min 5 s, 2 h 4 min, 3 d 4 h. */
export function formatDuration(durationMs: number): string {
  const ms = Math.max(durationMs, 0)
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return pair(Math.floor(seconds / 60), 'min', seconds % 60, 's')
  const minutes = Math.round(seconds / 60)
  if (minutes < 1_440) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'min')
  const hours = Math.round(minutes / 60)
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

const pair = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`

/** Milliseconds between two timestamps of the API; null while one of them is missing. */
export function durationBetweenMs(startedAt: string | null, finishedAt: string | null): number | null {
  if (startedAt === null || finishedAt === null) return null
  return Math.max(Date.parse(finishedAt) - Date.parse(startedAt), 0)
}

/** "just now", "5 min ago", "3 h ago", then the date. */
export function formatAgo(at: string, nowMs: number): string {
  const agoMs = nowMs - Date.parse(at)
  if (agoMs < 45_000) return 'just now'
  const minutes = Math.round(agoMs / 60_000)
  if (minutes < 60) return `${minutes} min ago`
  const hours = Math.round(agoMs / 3_600_000)
  if (hours < 24) return `${hours} h ago`
  return formatDate(at)
}

/** The date in the reader's own language and time zone. */
export const formatDate = (at: string): string => new Date(at).toLocaleDateString(undefined, { dateStyle: 'medium' })

/** Date and time in the reader's own language and time zone. */
export const formatDateTime = (at: string): string =>
  new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

/** 1 file, 2 files, 1,204 files. */
export const formatCount = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : many}`
