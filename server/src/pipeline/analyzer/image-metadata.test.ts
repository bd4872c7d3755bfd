import { describe, expect, it } from 'vitest'
import { noise, truncations } from '../testing/damage.ts'
import { claimedPng, testPicture } from '../testing/pictures.ts'
import { runProcessor } from '../testing/run-processor.ts'
import { run } from './image-metadata.run.ts'

const exif = {
  IFD0: { Make: 'Maker', Model: 'One', ImageDescription: 'A red and blue flag\0', DateTime: '2024:05:06 07:08:09' },
  IFD3: {
    GPSLatitudeRef: 'N',
    GPSLatitude: '52/1 30/1 0/1',
    GPSLongitudeRef: 'E',
    GPSLongitude: '13/1 24/1 0/1',
  },
}
const xmp = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
  rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="52,30N">
  <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Flag</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta>`
const picture = testPicture({ width: 60, height: 40 }).withMetadata({ orientation: 6, exif }).withXmp(xmp)

async function metadata(bytes: Buffer | string, parameters: Record<string, unknown> = {}, name = 'photo.jpg') {
  await using ran = await runProcessor(run, [{ name, contentType: 'image/jpeg', bytes }], { parameters })
  return ran.outcome
}

describe('metadata of a picture', () => {
  it.each(['jpeg', 'png', 'webp'] as const)('of %s tell shape and camera, but not the place', async (format) => {
    const outcome = await metadata(await picture.clone().toFormat(format).toBuffer())
    expect(outcome).toMatchObject({
      kind: 'done',
      result: {
        kind: 'image',
        width: 40,
        height: 60,
        orientation: 6,
        colour_space: 'srgb',
        tags: { ifd0: { Make: 'Maker', Model: 'One', ModifyDate: '2024-05-06T07:08:09' } },
        has_gps: true,
      },
      foundText: 'A red and blue flag\nFlag',
    })
    expect(JSON.stringify(outcome)).not.toMatch(/latitude|52/i)
  })

  it.each(['tiff', 'avif'] as const)('of %s are read too', async (format) => {
    const outcome = await metadata(await picture.clone().toFormat(format).toBuffer())
    expect(outcome).toMatchObject({
      result: { megapixels: 0, colour_space: 'srgb', tags: { dc: { title: { value: 'Flag' } } } },
    })
  })

  it('tell the place when it is asked for', async () => {
    const outcome = await metadata(await picture.clone().jpeg().toBuffer(), { gps: 'keep' })
    expect(outcome).toMatchObject({ result: { gps: { latitude: 52.5, longitude: 13.4 } } })
  })

  it('are the shape only, when there are no tags', async () => {
    const outcome = await metadata(claimedPng(50_000, 50_000), {}, 'a.png')
    expect(outcome).toMatchObject({ result: { width: 50_000, megapixels: 2500, tags: null, has_gps: false } })
  })

  it('are refused of what is no picture', async () => {
    expect(await metadata('')).toMatchObject({ code: 'file_empty' })
    expect(await metadata(noise(500))).toMatchObject({ code: 'file_unreadable' })
  })

  it('are read or refused, and never fail, whatever was cut or changed', async () => {
    const whole = await picture.clone().jpeg().toBuffer()
    for (const cut of truncations(whole)) expect((await metadata(cut)).kind).toMatch(/^(?:done|reject)$/)
    for (let seed = 1; seed <= 40; seed += 1) {
      const changed = Buffer.from(whole)
      changed.set(noise(8, seed), (seed * 37) % 600)
      expect((await metadata(changed)).kind).toMatch(/^(?:done|reject)$/)
    }
  })
})
