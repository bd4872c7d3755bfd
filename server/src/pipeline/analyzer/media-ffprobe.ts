// Sound and film by ffprobe, where it is installed. It is given the file and no way to anything else: playlists that name
// other files or addresses are not followed.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { toJsonValue, type JsonValue } from '../formats/json-value.ts'
import { figure, streamsCountMax, wordOf, type MediaReport, type MediaStream } from './media-report.ts'

const timeoutMs = 20_000
const answerBytesMax = 4 * 1024 ** 2
const kinds = ['audio', 'video', 'subtitle'] as const

/** Nothing when there is no ffprobe, or none that can be run here, or when it cannot read the file. */
export async function probeByProgram(path: string): Promise<MediaReport | undefined> {
  const answer = await ask(path)
  const { format, streams } = answer ?? {}
  if (!isRecord(format) || !Array.isArray(streams) || streams.length === 0) return undefined
  const tags = isRecord(format['tags']) ? toJsonValue(format['tags']) : {}
  return {
    source: 'ffprobe',
    container: wordOf(format['format_name']),
    duration_seconds: figure(format['duration']),
    bit_rate: figure(format['bit_rate']),
    streams: streams.slice(0, streamsCountMax).filter(isRecord).map(streamOf),
    tags: isJsonRecord(tags) ? tags : {},
  }
}

async function ask(path: string): Promise<Record<string, unknown> | undefined> {
  const wishes = [
    '-v',
    'error',
    '-protocol_whitelist',
    'file',
    '-print_format',
    'json',
    '-show_format',
    '-show_streams',
  ]
  const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: answerBytesMax, windowsHide: true } as const
  try {
    // Where the sandbox allows no programs, the call itself throws.
    const { stdout } = await promisify(execFile)('ffprobe', [...wishes, `file:${path}`], options)
    const value: unknown = JSON.parse(stdout)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

function streamOf(stream: Record<string, unknown>): MediaStream {
  const kind = kinds.find((kind) => kind === stream['codec_type']) ?? 'other'
  const tags = isRecord(stream['tags']) ? stream['tags'] : {}
  return {
    kind,
    codec: wordOf(stream['codec_name']),
    language: wordOf(tags['language']),
    duration_seconds: figure(stream['duration']),
    bit_rate: figure(stream['bit_rate']),
    ...(kind === 'video' && {
      width: figure(stream['width']),
      height: figure(stream['height']),
      frame_rate: ratioOf(stream['avg_frame_rate']),
    }),
    ...(kind === 'audio' && {
      sample_rate_hz: figure(stream['sample_rate']),
      channels_count: figure(stream['channels']),
    }),
  }
}

/** "30000/1001" */
function ratioOf(value: unknown): number | null {
  const [over, under] = typeof value === 'string' ? value.split('/').map(Number) : []
  return over === undefined || under === undefined || under === 0 ? null : figure(over / under)
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isJsonRecord = (value: JsonValue | undefined): value is Record<string, JsonValue> => isRecord(value)
