import sharp from 'sharp'
import { expect, test } from 'vitest'
import { noise, truncations } from '../testing/damage.ts'
import { encryptedPdf, pdf } from '../testing/pdf-file.ts'
import { runProcessor, type TestFile } from '../testing/run-processor.ts'
import { run } from './document-render.run.ts'

const pdfFile = (bytes: Uint8Array): TestFile => ({ name: 'a.pdf', contentType: 'application/pdf', bytes })

async function refused(bytes: Uint8Array, parameters: Record<string, unknown> = {}): Promise<string> {
  await using ran = await runProcessor(run, [pdfFile(bytes)], { parameters })
  if (ran.outcome.kind !== 'reject') throw new Error('not rejected')
  return ran.outcome.code
}

test('each page becomes an image of its size, with dark text on white', async () => {
  const bytes = pdf([{ lines: ['Some text on the page'] }, { image: true, widthPoints: 200, heightPoints: 100 }])
  await using ran = await runProcessor(run, [pdfFile(bytes)], { parameters: { dpi: 72 } })
  expect(ran.outcome).toMatchObject({
    kind: 'done',
    recordsCount: 2,
    result: {
      kind: 'page-images',
      pages_count: 2,
      pages: [
        { page: 1, name: 'page_001.png', width: 595, height: 842, dpi: 72 },
        { page: 2, name: 'page_002.png', width: 200, height: 100, dpi: 72 },
      ],
      damaged_pages: [],
      pages_left_out_count: 0,
    },
  })
  const [text, scan] = ran.outputs
  const { channels } = await sharp(text?.bytes).stats()
  expect(channels).toHaveLength(3)
  expect(channels[0]?.min).toBeLessThan(64)
  expect(channels[0]?.max).toBe(255)
  expect(channels[0]?.mean).toBeGreaterThan(240)
  expect((await sharp(scan?.bytes).stats()).channels[0]?.mean).toBeCloseTo(128, 0)
  expect(await sharp(text?.bytes).metadata()).toMatchObject({ format: 'png', density: 72 })
})

test.each([
  ['jpeg', 'jpg'],
  ['webp', 'webp'],
])('pages are written as %s', async (format, ending) => {
  await using ran = await runProcessor(run, [pdfFile(pdf([{ lines: ['x'] }]))], { parameters: { format } })
  expect(ran.outputs[0]).toMatchObject({ name: `page_001.${ending}`, contentType: `image/${format}` })
  expect(await sharp(ran.outputs[0]?.bytes).metadata()).toMatchObject({ format, width: 1239, height: 1754 })
})

test('twenty pages are drawn unless others are asked for', async () => {
  const bytes = pdf(Array.from({ length: 25 }, () => ({ lines: ['x'], widthPoints: 50, heightPoints: 50 })))
  await using first = await runProcessor(run, [pdfFile(bytes)])
  expect(first.outputs).toHaveLength(20)
  await using last = await runProcessor(run, [pdfFile(bytes)], { parameters: { pages: '24-' } })
  expect(last.outputs.map(({ name }) => name)).toEqual(['page_024.png', 'page_025.png'])
  expect(await refused(bytes, { pages: '26' })).toBe('parameters_invalid')
})

test('a page as large as a field is drawn with fewer pixels per inch', async () => {
  const bytes = pdf([
    { lines: ['x'], widthPoints: 14_400, heightPoints: 14_400 },
    { widthPoints: 14_000, heightPoints: 1 },
  ])
  await using ran = await runProcessor(run, [pdfFile(bytes)], { parameters: { format: 'jpeg', dpi: 600 } })
  expect(ran.outcome).toMatchObject({
    kind: 'done',
    result: {
      pages: [
        { width: 6324, height: 6324, dpi: 32 },
        { width: 16_383, height: 1 },
      ],
    },
  })
})

test('what is no whole PDF has an outcome', async () => {
  expect(await refused(noise(5000))).toBe('file_unreadable')
  expect(await refused(encryptedPdf())).toBe('file_encrypted')
  for (const part of truncations(pdf([{ lines: ['text'] }, { image: true }]))) {
    await using ran = await runProcessor(run, [pdfFile(part)], { parameters: { dpi: 20 } })
    expect(['done', 'reject']).toContain(ran.outcome.kind)
  }
})
