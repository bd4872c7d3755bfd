// The processors of documents in the sandboxes that they run in: their libraries are WebAssembly, native modules with
// fonts of their own, and programs, each of which a sandbox can stop from working.

import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { processors, type ProcessorName } from '../pipeline/registry.ts'
import { docx } from '../pipeline/testing/office-files.ts'
import { mp3Of } from '../pipeline/testing/media.ts'
import { pdf, pdfOfObjects } from '../pipeline/testing/pdf-file.ts'
import { defaultRunsFile } from './sandbox/project-files.ts'
import type { SandboxEnd } from './sandbox/sandbox.ts'
import { openTestSandbox, type TestSandbox } from './testing/test-sandbox.ts'

const text = 'The committee will meet again on Thursday to discuss the harbour; write to ada@example.org.'
const page = pdf([{ lines: [text] }])
const contentTypes: Record<string, string> = {
  pdf: 'application/pdf',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  txt: 'text/plain',
  mp3: 'audio/mpeg',
}

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined
const levels = has('bwrap') ? (['bubblewrap', 'process'] as const) : (['process'] as const)

describe.each(levels)('in a sandbox of level %s', (level) => {
  let house: TestSandbox
  beforeAll(async () => {
    house = await openTestSandbox(level, undefined, defaultRunsFile)
  })
  afterAll(() => house.close())

  async function end(
    processor: ProcessorName,
    options: { name: string; bytes: Uint8Array | string; timeoutMs?: number; parameters?: Record<string, unknown> },
  ): Promise<SandboxEnd> {
    const { isolation, limits } = processors[processor]
    const folders = await house.sandbox.prepare(1, 7, { isolation: isolation === 'cli' ? 'cli' : 'warm' })
    const file = path.join(folders.inputFolder, '0')
    await writeFile(file, options.bytes)
    const facts = {
      name: options.name,
      contentType: contentTypes[options.name.split('.').at(-1) ?? ''] ?? 'application/octet-stream',
      sizeBytes: options.bytes.length,
    }
    const ended = await house.sandbox.run({
      processor,
      tenantId: 7,
      timeoutMs: options.timeoutMs ?? 30_000,
      memoryBytes: limits.memoryBytes,
      outputBytesMax: limits.outputBytesMax,
      outputFilesMax: limits.outputFilesMax,
      signal: new AbortController().signal,
      run: {
        files: [{ ...facts, path: file, from: 'original' }],
        outputFolder: folders.outputFolder,
        scratchFolder: folders.scratchFolder,
        parameters: options.parameters ?? {},
        file: { ...facts, sha256: 'ab'.repeat(32), metadata: {}, depth: 0 },
        results: { language: { kind: 'text-language', language: 'en' } },
      },
    })
    await folders.remove()
    return ended
  }

  test.each<[ProcessorName, string, Uint8Array | string, Record<string, unknown>]>([
    ['document.text', 'a.pdf', page, { format: 'pdf', pages_count: 1 }],
    ['document.text', 'a.docx', docx({ paragraphs: [text] }), { format: 'docx' }],
    ['document.render', 'a.pdf', page, { kind: 'page-images' }],
    ['report.pdf', 'a.pdf', page, { kind: 'report', pages_count: 1 }],
    ['text.encoding', 'a.txt', text, { encoding: 'utf-8' }],
    ['text.language', 'a.txt', text, { language: 'en' }],
    ['text.join', 'a.txt', text, { texts_count: 1 }],
    ['archive.create', 'a.txt', text, { files_count: 1 }],
    ['file.manifest', 'a.txt', text, { files_count: 1 }],
    ['text.pii', 'a.txt', text, { found_count: 1 }],
    ['media.probe', 'a.mp3', mp3Of(100, 'A Silence'), { tags: { title: 'A Silence' } }],
  ])('%s works on %s', async (processor, name, bytes, result) => {
    expect(await end(processor, { name, bytes })).toMatchObject({ kind: 'outcome', outcome: { kind: 'done', result } })
  })

  test.runIf(has('tesseract'))('ocr.text starts its program', async () => {
    const bytes = await sharp({ create: { width: 300, height: 100, channels: 3, background: '#ffffff' } })
      .png()
      .toBuffer()
    expect(await end('ocr.text', { name: 'a.png', bytes })).toMatchObject({
      kind: 'outcome',
      outcome: { kind: 'done', result: { kind: 'ocr', words_count: 0 } },
    })
  })

  test('a page that would be drawn for ever is ended, and the next file is read', async () => {
    // Each form draws the next one sixteen times: 16^8 texts, in a file of 3 KB.
    const form = (number: number): string => {
      const content = number === 8 ? 'BT /F 9 Tf (x) Tj ET' : '/N Do '.repeat(16)
      const next = number === 8 ? '' : `/XObject << /N ${number + 5} 0 R >>`
      return `<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Length ${content.length} /Resources << ${next} /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>\nstream\n${content}\nendstream`
    }
    const endless = pdfOfObjects([
      '<< /Type /Catalog /Pages 2 0 R >>',
      '<< /Type /Pages /Count 1 /Kids [3 0 R] >>',
      '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents 4 0 R /Resources << /XObject << /N 5 0 R >> >> >>',
      '<< /Length 6 >>\nstream\n/N Do \nendstream',
      ...Array.from({ length: 9 }, (_, number) => form(number)),
    ])
    const ended = await end('document.render', { name: 'a.pdf', bytes: endless, timeoutMs: 3_000 })
    expect(['timeout', 'memory']).toContain(ended.kind)
    expect(await end('document.text', { name: 'a.pdf', bytes: page })).toMatchObject({ outcome: { kind: 'done' } })
  })
})
