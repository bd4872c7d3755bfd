import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { noise, truncations } from '../testing/damage.ts'
import { claimedPng, manyFramesGif, testPicture } from '../testing/pictures.ts'
import { runProcessor } from '../testing/run-processor.ts'
import { run } from './image-convert.run.ts'

const photo = await testPicture({ width: 400, height: 200 }).jpeg().toBuffer()

async function convert(bytes: Buffer | string, parameters: Record<string, unknown> = {}, name = 'folder/my.photo.jpg') {
  await using ran = await runProcessor(run, [{ name, contentType: 'image/jpeg', bytes }], { parameters })
  return { outcome: ran.outcome, output: ran.outputs[0] }
}

async function converted(bytes: Buffer | string, parameters: Record<string, unknown> = {}) {
  const { outcome, output } = await convert(bytes, parameters)
  if (output === undefined) throw new Error(JSON.stringify(outcome))
  return { output, header: await sharp(output.bytes).metadata(), outcome }
}

/** Red, green and blue of a pixel. */
async function pixel(bytes: Buffer, left: number, top: number): Promise<number[]> {
  return [...(await sharp(bytes).extract({ left, top, width: 1, height: 1 }).removeAlpha().raw().toBuffer())]
}

describe('a picture is written', () => {
  it.each(['jpeg', 'png', 'webp', 'avif', 'tiff', 'gif'] as const)('as %s', async (to) => {
    const { header, outcome, output } = await converted(photo, { to })
    expect(header).toMatchObject({ format: to === 'avif' ? 'heif' : to, width: 400, height: 200 })
    expect(outcome).toMatchObject({
      result: { kind: 'picture', from: 'jpeg', to, width: 400, height: 200, frames_count: 1 },
    })
    expect(output.name).toMatch(/^my\.photo\.(?:jpg|png|webp|avif|tif|gif)$/)
    expect(output.contentType).toBe(`image/${to}`)
  })

  it('cut, turned and resized, in this order', async () => {
    const crop = { left: 250, top: 50, width: 100, height: 50 }
    const { header, output } = await converted(photo, { to: 'png', crop, rotate: 90, width: 20 })
    expect(header).toMatchObject({ width: 20, height: 40 })
    // All of it comes from the blue half.
    for (const [left, top] of [
      [1, 1],
      [18, 38],
    ] as const) {
      const [red = 0, , blue = 0] = await pixel(output.bytes, left, top)
      expect([red < 60, blue > 150]).toEqual([true, true])
    }
  })

  it('upright before it is cut', async () => {
    const sideways = await testPicture({ width: 400, height: 200 }).withMetadata({ orientation: 6 }).jpeg().toBuffer()
    // Turned by the camera, red is above and blue below.
    const { header, output } = await converted(sideways, {
      to: 'png',
      crop: { left: 0, top: 210, width: 200, height: 190 },
    })
    expect(header).toMatchObject({ width: 200, height: 190 })
    expect((await pixel(output.bytes, 100, 20))[2]).toBeGreaterThan(150)
  })

  it('not larger than it is, unless asked for', async () => {
    expect((await converted(photo, { width: 800 })).header).toMatchObject({ width: 400, height: 200 })
    expect((await converted(photo, { width: 800, enlarge: true })).header).toMatchObject({ width: 800, height: 400 })
    const drawing = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><rect width="20" height="10"/></svg>'
    expect((await converted(drawing, { to: 'png', width: 800 })).header).toMatchObject({ width: 800, height: 400 })
  })

  it('into both edges by any fit', async () => {
    const edges = async (fit: string) => (await converted(photo, { width: 100, height: 100, fit })).header
    expect(await edges('inside')).toMatchObject({ width: 100, height: 50 })
    expect(await edges('cover')).toMatchObject({ width: 100, height: 100 })
    expect(await edges('contain')).toMatchObject({ width: 100, height: 100 })
    expect(await edges('fill')).toMatchObject({ width: 100, height: 100 })
  })

  it('with the background behind what was transparent', async () => {
    const clear = await sharp({ create: { width: 10, height: 10, channels: 4, background: '#00000000' } })
      .png()
      .toBuffer()
    const { output } = await converted(clear, { to: 'jpeg', background: '#ff0000', quality: 100 })
    expect((await pixel(output.bytes, 5, 5))[0]).toBeGreaterThan(250)
  })

  it('without metadata, or with them', async () => {
    const told = await testPicture({ width: 40, height: 20 })
      .withMetadata({ exif: { IFD0: { Artist: 'A. Person' } } })
      .jpeg()
      .toBuffer()
    expect((await converted(told, { to: 'jpeg' })).output.bytes.includes('Person')).toBe(false)
    expect((await converted(told, { to: 'jpeg', strip: false })).output.bytes.includes('Person')).toBe(true)
  })

  it('with its first frame, or with all of them', async () => {
    const frames = [0, 1, 2].map((n) =>
      sharp({ create: { width: 20, height: 20, channels: 3, background: { r: n * 90, g: 0, b: 0 } } })
        .png()
        .toBuffer(),
    )
    const film = await sharp(await Promise.all(frames), { join: { animated: true } })
      .gif()
      .toBuffer()
    expect((await converted(film)).header.pages ?? 1).toBe(1)
    const { header, outcome } = await converted(film, { frames: 'all', width: 10 })
    expect(header).toMatchObject({ pages: 3, width: 10 })
    expect(outcome).toMatchObject({ result: { frames_count: 3, width: 10, height: 10 } })
  })
})

describe('what cannot be done is refused', () => {
  const refusal = async (bytes: Buffer | string, parameters?: Record<string, unknown>, name?: string) => {
    const { outcome } = await convert(bytes, parameters, name)
    return outcome.kind === 'reject' ? outcome.code : outcome.kind
  }

  it('for parameters that do not fit', async () => {
    expect(await refusal(photo, { crop: { left: 390, top: 0, width: 20, height: 20 } })).toBe('parameters_invalid')
    expect(await refusal(photo, { to: 'jpeg', frames: 'all' })).toBe('parameters_invalid')
    expect(await refusal(manyFramesGif(3), { frames: 'all', rotate: 90 })).toBe('parameters_invalid')
    expect(await refusal(photo, { width: 100_000 })).toBe('parameters_invalid')
    expect(await refusal(photo, { to: 'exe' })).toBe('parameters_invalid')
  })

  it('for pictures that are damaged, none, too large or foreign', async () => {
    for (const cut of truncations(photo)) expect(await refusal(cut)).toBe('file_unreadable')
    expect(await refusal('')).toBe('file_empty')
    expect(await refusal(noise(400))).toBe('file_unreadable')
    expect(await refusal(claimedPng(50_000, 50_000))).toBe('file_too_complex')
    const heic = Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1')
    expect(await refusal(heic, {}, 'a.heic')).toBe('file_type_unsupported')
  })
})
