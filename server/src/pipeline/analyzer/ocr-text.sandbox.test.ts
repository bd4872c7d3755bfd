// With tesseract, where the machine has one.

import { spawnSync } from 'node:child_process'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { noise, truncations } from '../testing/damage.ts'
import { pdf } from '../testing/pdf-file.ts'
import { runProcessor } from '../testing/run-processor.ts'
import { run as render } from '../transformer/document-render.run.ts'
import { run } from './ocr-text.run.ts'

const hasProgram = spawnSync('tesseract', ['--version']).status === 0

async function page(lines: string[]): Promise<Buffer> {
  const bytes = pdf([{ lines, widthPoints: 400, heightPoints: 200 }])
  await using drawn = await runProcessor(render, [{ name: 'a.pdf', contentType: 'application/pdf', bytes }], {
    parameters: { dpi: 200 },
  })
  return drawn.outputs[0]?.bytes ?? Buffer.alloc(0)
}
const image = (bytes: Uint8Array) => ({ name: 'page_001.png', contentType: 'image/png', bytes })

test.runIf(hasProgram)('the text of a drawn page is read, with where its words stand', async () => {
  await using ran = await runProcessor(run, [image(await page(['The quick brown fox', 'jumps over the lazy dog.']))])
  expect(ran.outcome).toMatchObject({
    kind: 'done',
    foundText: 'The quick brown fox\njumps over the lazy dog.',
    recordsCount: 1,
    result: { kind: 'ocr', languages: ['eng'], words_count: 9 },
  })
  expect(ran.outputs.map(({ name }) => name)).toEqual(['page_001.hocr', 'page_001.txt'])
  expect(ran.outputs[0]?.bytes.toString()).toContain('ocrx_word')
})

test.runIf(hasProgram)('an image without text has none, and other languages are refused by name', async () => {
  const blank = await sharp({ create: { width: 300, height: 200, channels: 3, background: '#fff' } })
    .png()
    .toBuffer()
  await using empty = await runProcessor(run, [image(blank)])
  expect(empty.outcome).toMatchObject({ kind: 'done', outputs: [], result: { words_count: 0, confidence: 0 } })
  await using foreign = await runProcessor(run, [image(blank)], { parameters: { languages: ['xyz', 'eng'] } })
  expect(foreign.outcome).toMatchObject({ kind: 'reject', code: 'parameters_invalid' })
  expect(JSON.stringify(foreign.outcome)).toMatch(/no data here for xyz; there are .*eng/u)
  await using option = await runProcessor(run, [image(blank)], { parameters: { languages: ['--help'] } })
  expect(option.outcome).toMatchObject({ kind: 'reject', code: 'parameters_invalid' })
})

test.runIf(hasProgram)('what is no whole image has an outcome', async () => {
  for (const part of [...truncations(await page(['text'])).slice(0, 4), noise(3000)]) {
    await using ran = await runProcessor(run, [image(part)])
    expect(['done', 'reject']).toContain(ran.outcome.kind)
  }
})
