import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { noise, truncations } from '../testing/damage.ts'
import { claimedPng, manyFramesGif, testPicture } from '../testing/pictures.ts'
import { runProcessor, type TestFile } from '../testing/run-processor.ts'
import { run } from './image-thumbnail.run.ts'

const file = (bytes: Buffer | string, name = 'photo.jpg', contentType = 'image/jpeg'): TestFile => ({
  name,
  contentType,
  bytes,
})
const landscape = { width: 2000, height: 1000 }
const photo = await testPicture(landscape).jpeg().toBuffer()

async function thumbnails(bytes: Buffer | string, parameters: Record<string, unknown> = {}, name?: string) {
  await using ran = await runProcessor(run, [file(bytes, name)], { parameters })
  if (ran.outcome.kind !== 'done') throw new Error(JSON.stringify(ran.outcome))
  const pictures = await Promise.all(ran.outputs.map(({ bytes }) => sharp(bytes).metadata()))
  return { ...ran, pictures, result: ran.outcome.result as Record<string, unknown> }
}

async function refusal(bytes: Buffer | string, name?: string, contentType?: string) {
  await using ran = await runProcessor(run, [file(bytes, name, contentType)])
  return ran.outcome.kind === 'reject' ? ran.outcome.code : ran.outcome.kind
}

describe('thumbnails', () => {
  it('come in three sizes, told with blurhash and colour', async () => {
    const { outputs, pictures, result } = await thumbnails(photo)
    expect(outputs.map(({ name, contentType }) => [name, contentType])).toEqual([
      ['thumbnail_320.jpg', 'image/jpeg'],
      ['thumbnail_800.jpg', 'image/jpeg'],
      ['thumbnail_1600.jpg', 'image/jpeg'],
    ])
    expect(pictures.map(({ width, height, format }) => [width, height, format])).toEqual([
      [320, 160, 'jpeg'],
      [800, 400, 'jpeg'],
      [1600, 800, 'jpeg'],
    ])
    expect(result).toMatchObject({ kind: 'thumbnails', ...landscape, blurhash: expect.stringMatching(/^.{28}$/) })
    // Red and blue cover one half each; either may be the dominant one.
    expect(result['dominant_colour']).toMatch(/^#(?:[c-d].0.1.|1.0.[c-d].)$/)
  })

  it('are no larger than the picture, and all there', async () => {
    const { pictures } = await thumbnails(await testPicture({ width: 400, height: 300 }).png().toBuffer())
    expect(pictures.map(({ width, height }) => [width, height])).toEqual([
      [320, 240],
      [400, 300],
      [400, 300],
    ])
  })

  it('stand upright, without metadata', async () => {
    const sideways = await testPicture(landscape)
      .withMetadata({ orientation: 6, exif: { IFD0: { Artist: 'A. Person' } } })
      .jpeg()
      .toBuffer()
    const { pictures, result, outputs } = await thumbnails(sideways, { sizes: [100] })
    expect(pictures[0]).toMatchObject({ width: 50, height: 100 })
    expect(pictures[0]?.orientation).toBeUndefined()
    expect(outputs[0]?.bytes.includes('Person')).toBe(false)
    expect(result).toMatchObject({ width: 1000, height: 2000 })
  })

  it('are like copies made of the picture itself, although small ones are made of larger ones', async () => {
    const noise = { type: 'gaussian', mean: 128, sigma: 20 } as const
    const create = { width: 2001, height: 1333, channels: 3, background: '#808080', noise } as const
    const grainy = await sharp({ create }).jpeg().toBuffer()
    const { outputs } = await thumbnails(grainy)
    for (const { bytes } of outputs) {
      const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true })
      const direct = sharp(grainy).resize({ width: info.width, height: info.height, fit: 'fill' }).jpeg()
      const expected = await sharp(await direct.toBuffer())
        .raw()
        .toBuffer()
      expect(info.width / info.height).toBeCloseTo(2001 / 1333, 2)
      expect(
        data.reduce((sum, value, at) => sum + Math.abs(value - (expected[at] ?? 0)), 0) / data.length,
      ).toBeLessThan(3)
    }
  })

  it('leave no pixels to the collector, which would mark the whole heap to find them', async () => {
    await thumbnails(photo)
    const before = process.memoryUsage().external
    await thumbnails(photo)
    expect(process.memoryUsage().external - before).toBeLessThan(1024 ** 2)
  })

  it('are cut to squares by cover', async () => {
    const { pictures } = await thumbnails(photo, { sizes: [64, 1500], fit: 'cover', format: 'webp' })
    expect(pictures.map(({ width, height, format }) => [width, height, format])).toEqual([
      [64, 64, 'webp'],
      [1000, 1000, 'webp'],
    ])
  })

  it.each(['png', 'webp', 'avif'] as const)('keep transparency as %s', async (format) => {
    const { pictures } = await thumbnails(
      await testPicture({ ...landscape, alpha: true })
        .png()
        .toBuffer(),
      {
        sizes: [100],
        format,
      },
    )
    expect(pictures[0]).toMatchObject({ hasAlpha: true })
  })

  it('are made of pictures in grey, CMYK and 16 bits, and of those one pixel high', async () => {
    const pictures = [
      testPicture(landscape).greyscale().png(),
      testPicture(landscape).toColourspace('cmyk').jpeg(),
      testPicture(landscape).toColourspace('rgb16').png(),
      testPicture(landscape).toColourspace('cmyk').tiff(),
      testPicture({ width: 3000, height: 1 }).png(),
      testPicture({ width: 1, height: 1 }).gif(),
    ]
    for (const picture of pictures) {
      const { pictures: made } = await thumbnails(await picture.toBuffer(), { sizes: [200] })
      expect(made[0]).toMatchObject({ space: 'srgb', channels: 3 })
    }
  })

  it('show the first of 10,000 frames', async () => {
    const { result } = await thumbnails(manyFramesGif(10_000), {}, 'a.gif')
    expect(result).toMatchObject({ frames_count: 10_000, width: 1 })
  })

  it('draw a vector picture as large as it is asked for, and nothing from outside', async () => {
    const drawing = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 24 12">
      <script>while(true){}</script><rect width="24" height="12" fill="#00ff00"/>
      <image href="http://127.0.0.1:1/x.png" width="24" height="12"/><image xlink:href="file:///etc/passwd" width="9" height="9"/></svg>`
    const { pictures, result } = await thumbnails(drawing, {}, 'logo.svg')
    expect(pictures.at(-1)).toMatchObject({ width: 1600, height: 800 })
    expect(result).toMatchObject({ dominant_colour: '#08f808' })
  })
})

describe('what is no whole picture is refused', () => {
  it('when it is cut, in any format', async () => {
    const picture = testPicture({ width: 300, height: 300 })
    const whole = [await picture.jpeg().toBuffer(), await picture.png().toBuffer(), await picture.webp().toBuffer()]
    for (const bytes of whole) for (const cut of truncations(bytes)) expect(await refusal(cut)).toBe('file_unreadable')
  })

  it('when it claims more pixels than can be decoded', async () => {
    expect(await refusal(claimedPng(50_000, 50_000))).toBe('file_too_complex')
    expect(await refusal(claimedPng(2_000_000_000, 2_000_000_000))).toMatch(/^file_(?:too_complex|unreadable)$/)
    const vast = '<svg xmlns="http://www.w3.org/2000/svg" width="1000000" height="1000000"/>'
    expect(await refusal(vast, 'a.svg')).toBe('file_too_complex')
  })

  it('when it is none', async () => {
    expect(await refusal('')).toBe('file_empty')
    expect(await refusal('just words', 'a.jpg')).toBe('file_unreadable')
    expect(await refusal(noise(5000), 'a.png')).toBe('file_unreadable')
    expect(await refusal('%PDF-1.7\n', 'a.jpg')).toBe('file_unreadable')
  })

  it('when its format has no decoder here', async () => {
    const heic = Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1')
    expect(await refusal(heic, 'a.heic')).toBe('file_type_unsupported')
    expect(await refusal(Buffer.from('\xff\x0a\0\0', 'latin1'), 'a.jxl')).toBe('file_type_unsupported')
    const bmp = Buffer.concat([Buffer.from('BM'), Buffer.alloc(60)])
    expect(await refusal(bmp, 'a.bmp')).toBe('file_type_unsupported')
  })

  it('when its entities explode or point outside', async () => {
    const entities = Array.from({ length: 9 }, (_, n) => `<!ENTITY e${n + 1} "${`&e${n};`.repeat(10)}">`).join('')
    const laughs = `<!DOCTYPE svg [<!ENTITY e0 "ha">${entities}]><svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><text>&e9;</text></svg>`
    expect(await refusal(laughs, 'a.svg')).toBe('file_unreadable')
    const outside = `<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><text>&x;</text></svg>`
    expect(await refusal(outside, 'a.svg')).toBe('file_unreadable')
  })

  it('unless damaged pictures are allowed', async () => {
    const cut = photo.subarray(0, photo.length / 2)
    const { pictures } = await thumbnails(cut, { damaged: 'allow', sizes: [100] })
    expect(pictures[0]).toMatchObject({ width: 100 })
  })
})
