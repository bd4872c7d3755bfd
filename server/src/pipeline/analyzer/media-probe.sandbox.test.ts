// With ffprobe, where the machine has one.

import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { noise } from '../testing/damage.ts'
import { mp3Of } from '../testing/media.ts'
import { runProcessor } from '../testing/run-processor.ts'
import { run } from './media-probe.run.ts'

const hasProgram = spawnSync('ffprobe', ['-version']).status === 0
const probe = async (bytes: Buffer | string, name: string) => {
  await using ran = await runProcessor(run, [{ name, contentType: 'audio/mpeg', bytes }])
  return ran.outcome
}

test.runIf(hasProgram)('tells what ffprobe has found, and that it was ffprobe', async () => {
  expect(await probe(mp3Of(100, 'A Silence'), 'a.mp3')).toMatchObject({
    result: {
      source: 'ffprobe',
      container: 'mp3',
      duration_seconds: expect.closeTo(2.6, 1),
      streams: [{ kind: 'audio', codec: 'mp3', sample_rate_hz: 44_100, channels_count: 2 }],
      tags: { title: 'A Silence' },
    },
    foundText: 'A Silence',
  })
})

test.runIf(hasProgram)('follows no playlist, and has an answer for bytes without meaning', async () => {
  const playlist = '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n'
  expect(await probe(playlist, 'a.m3u8')).toMatchObject({ kind: 'reject' })
  expect(await probe("ffconcat version 1.0\nfile '/etc/passwd'\n", 'a.ffconcat')).toMatchObject({ kind: 'reject' })
  expect(await probe(noise(5000), 'a.mp4')).toMatchObject({ kind: 'reject' })
})
