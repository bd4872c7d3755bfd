import { describe, expect, it } from 'vitest'
import { noise, truncations } from '../testing/damage.ts'
import { mp3Of, mp4Of, oggPage, wavOf } from '../testing/media.ts'
import { runProcessor } from '../testing/run-processor.ts'
import { run } from './media-probe.run.ts'

async function probe(bytes: Buffer | string, name: string, source: 'container' | 'auto' = 'container') {
  await using ran = await runProcessor(run, [{ name, contentType: 'audio/mpeg', bytes }], { parameters: { source } })
  return ran.outcome
}

describe('a recording, by its container alone', () => {
  it('is told with duration, stream and tags, which are found', async () => {
    expect(await probe(mp3Of(100, 'A Silence'), 'a.mp3')).toMatchObject({
      kind: 'done',
      outputs: [],
      result: {
        kind: 'media',
        source: 'container',
        container: 'MPEG',
        duration_seconds: expect.closeTo(2.6, 1),
        streams: [{ kind: 'audio', codec: 'MPEG 1 Layer 3', sample_rate_hz: 44_100, channels_count: 2 }],
        tags: { title: 'A Silence' },
        has_audio: true,
        has_video: false,
      },
      foundText: 'A Silence',
    })
    expect(await probe(wavOf(1.5), 'a.wav')).toMatchObject({
      result: {
        container: 'WAVE',
        duration_seconds: 1.5,
        bit_rate: 128_000,
        streams: [{ sample_rate_hz: 8000, channels_count: 1 }],
      },
    })
  })

  it('of a kind that no reader knows is refused with words', async () => {
    const film = Buffer.concat([Buffer.from('RIFF\x20\0\0\0AVI LIST', 'latin1'), Buffer.alloc(24)])
    expect(await probe(film, 'a.avi')).toMatchObject({
      code: 'file_type_unsupported',
      detail: 'Recordings of this kind can only be read where ffprobe is installed.',
    })
  })
})

describe('what is no recording', () => {
  it('is refused', async () => {
    expect(await probe('', 'a.mp3')).toMatchObject({ code: 'file_empty' })
    for (const name of ['a.mp3', 'a.mp4', 'a.ogg', 'a.mkv'])
      expect(await probe(noise(3000), name)).toMatchObject({ kind: 'reject' })
  })

  it('gets an answer, wherever it is cut and whatever is changed in it', async () => {
    const ogg = Buffer.concat([
      oggPage(Buffer.from('OpusHead\x01\x01\0\0\x80\xbb\0\0\0\0\0', 'latin1'), 2),
      oggPage(noise(300), 4),
    ])
    for (const [name, bytes] of [
      ['a.mp3', mp3Of()],
      ['a.wav', wavOf()],
      ['a.mp4', mp4Of()],
      ['a.ogg', ogg],
    ] as const) {
      for (const cut of truncations(bytes)) expect((await probe(cut, name)).kind).toMatch(/^(?:done|reject)$/)
      for (let seed = 1; seed <= 10; seed += 1) {
        const changed = Buffer.from(bytes)
        changed.set(noise(8, seed), (seed * 53) % (bytes.length - 8))
        expect((await probe(changed, name)).kind).toMatch(/^(?:done|reject)$/)
      }
    }
  })
})
