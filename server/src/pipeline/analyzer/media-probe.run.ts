import { Problem } from '../../platform/problem.ts'
import type { JsonValue } from '../formats/json-value.ts'
import { defineRun, inputOf } from '../processor-run.ts'
import { done } from '../processor.ts'
import { probeContainer } from './media-container.ts'
import { probeByProgram } from './media-ffprobe.ts'
import { mediaProbe } from './media-probe.ts'

/**
 * Result: { kind: 'media', source: 'ffprobe' | 'container', container, duration_seconds, bit_rate, streams, tags,
 * has_audio, has_video }. Title, artist and the like are found by search.
 */
export const run = defineRun(mediaProbe, async ({ parameters, ...rest }) => {
  const file = inputOf(rest)
  if (file.sizeBytes === 0)
    throw new Problem('file_empty', { detail: 'The file has no bytes, so there is nothing to hear.' })
  const told = parameters.source === 'auto' ? await probeByProgram(file.path) : undefined
  const report = told ?? (await probeContainer(file.path))
  if (report.streams.length === 0 && report.duration_seconds === null)
    throw new Problem('file_unreadable', { detail: 'No sound and no pictures were found in the file.' })
  const foundText = textOf(report.tags)
  return done(
    [],
    {
      kind: 'media',
      ...report,
      has_audio: report.streams.some(({ kind }) => kind === 'audio'),
      has_video: report.streams.some(({ kind }) => kind === 'video'),
    },
    foundText === '' ? {} : { foundText },
  )
})

const textTags =
  /^(?:title|artists?|album|albumartist|album_artist|composer|genre|comment|description|lyrics|show|network)$/i

function textOf(tags: Record<string, JsonValue>): string {
  const words = Object.entries(tags)
    .filter(([name]) => textTags.test(name))
    .flatMap(([, value]) => wordsOf(value))
  return [...new Set(words)].join('\n')
}

function wordsOf(value: JsonValue): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value]
  if (Array.isArray(value)) return value.flatMap(wordsOf)
  // Comments and lyrics: { language, text }.
  return typeof value === 'object' && value !== null && value['text'] !== undefined ? wordsOf(value['text']) : []
}
