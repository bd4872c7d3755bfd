// What media.probe tells, the same from either source.

import type { JsonValue } from '../formats/json-value.ts'

export interface MediaStream {
  kind: 'audio' | 'video' | 'subtitle' | 'other'
  codec: string | null
  language: string | null
  duration_seconds: number | null
  bit_rate: number | null
  width?: number | null
  height?: number | null
  frame_rate?: number | null
  sample_rate_hz?: number | null
  channels_count?: number | null
}

export interface MediaReport {
  source: 'ffprobe' | 'container'
  container: string | null
  duration_seconds: number | null
  bit_rate: number | null
  streams: MediaStream[]
  /** Title, artist and the like, as they are written in the file. */
  tags: Record<string, JsonValue>
}

export const streamsCountMax = 100

/** A finite number of the value, rounded to thousandths. */
export function figure(value: unknown): number | null {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? Math.round(number * 1000) / 1000 : null
}

export const wordOf = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' && value !== 'und' ? value.slice(0, 100) : null
