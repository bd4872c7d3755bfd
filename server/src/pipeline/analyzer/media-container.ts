// Sound and film by what their containers say, without any program: MP3, MP4, Matroska, WebM, Ogg, FLAC, WAV and more.

import { parseFile, type IFormat, type ITrackInfo } from 'music-metadata'
import { Problem } from '../../platform/problem.ts'
import { toJsonValue, type JsonValue } from '../formats/json-value.ts'
import { figure, streamsCountMax, wordOf, type MediaReport, type MediaStream } from './media-report.ts'

/** Problems: file_unreadable, file_type_unsupported. */
export async function probeContainer(path: string): Promise<MediaReport> {
  const { format, common } = await parsed(path)
  const tags = toJsonValue(common)
  return {
    source: 'container',
    container: wordOf(format.container),
    duration_seconds: figure(format.duration),
    bit_rate: figure(format.bitrate),
    streams: format.trackInfo.slice(0, streamsCountMax).map((track) => streamOf(track, format)),
    tags: tags !== undefined && isTags(tags) ? withoutEmpty(tags) : {},
  }
}

/** What music-metadata throws when it knows the kind of a file and has no reader for it, or does not know it. */
const foreignNames = new Set(['UnsupportedFileTypeError', 'CouldNotDetermineFileTypeError'])

async function parsed(path: string): ReturnType<typeof parseFile> {
  try {
    return await parseFile(path, { duration: true, skipCovers: true, skipPostHeaders: false })
  } catch (cause) {
    // It promises no kind of error for a damaged file; whatever it is, the file is what it could not read.
    if (cause instanceof Error && foreignNames.has(cause.name))
      throw new Problem('file_type_unsupported', {
        detail: 'Recordings of this kind can only be read where ffprobe is installed.',
        cause,
      })
    throw new Problem('file_unreadable', { detail: 'The recording is damaged or was cut off.', cause })
  }
}

/** Matroska's numbers of kinds of tracks. */
const trackKinds: Record<number, MediaStream['kind']> = { 1: 'video', 2: 'audio', 17: 'subtitle' }

function streamOf(track: ITrackInfo, format: IFormat): MediaStream {
  const kind = track.type === undefined ? 'other' : (trackKinds[track.type] ?? 'other')
  return {
    kind,
    codec: wordOf(track.codecName?.replaceAll(/[<>]/g, '')),
    language: wordOf(track.language),
    duration_seconds: figure('duration' in track ? track.duration : undefined) ?? figure(format.duration),
    bit_rate: figure('bitrate' in track ? track.bitrate : undefined),
    ...(kind === 'video' && {
      width: figure(track.video?.pixelWidth),
      height: figure(track.video?.pixelHeight),
      frame_rate: figure(track.video && 'frameRate' in track.video ? track.video.frameRate : undefined),
    }),
    ...(kind === 'audio' && {
      sample_rate_hz: figure(track.audio?.samplingFrequency),
      channels_count: figure(track.audio?.channels),
    }),
  }
}

const isTags = (value: JsonValue): value is Record<string, JsonValue> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const withoutEmpty = (tags: Record<string, JsonValue>): Record<string, JsonValue> =>
  Object.fromEntries(
    Object.entries(tags).filter(
      ([, value]) =>
        value !== null && value !== '' && !(isTags(value) && Object.values(value).every((item) => item === null)),
    ),
  )
