// The real processors behind the real walls: what a library needs of its machine shows only there.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { systemIds } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { processors, type ProcessorName } from '../pipeline/registry.ts'
import { pdf } from '../pipeline/testing/pdf-file.ts'
import { testPicture } from '../pipeline/testing/pictures.ts'
import { createSandbox } from './sandbox/choose.ts'
import type { Sandbox, SandboxLevel } from './sandbox/sandbox.ts'

const levels: SandboxLevel[] =
  spawnSync('bwrap', ['--version']).error === undefined ? ['bubblewrap', 'process'] : ['process']

interface Sample {
  name: string
  contentType: string
  bytes: () => Promise<Buffer>
}

const csv: Sample = {
  name: 'people.csv',
  contentType: 'text/csv',
  bytes: async () => Buffer.from('name,age\nAda,36\nBob,41\n'),
}
const text = {
  name: 'note.txt',
  contentType: 'text/plain',
  bytes: async () => Buffer.from('The quick brown fox jumps.'),
}
const photo = {
  name: 'photo.jpg',
  contentType: 'image/jpeg',
  bytes: () => testPicture({ width: 640, height: 480 }).jpeg().toBuffer(),
}
const paper = {
  name: 'paper.pdf',
  contentType: 'application/pdf',
  bytes: async () => pdf([{ lines: ['Minutes of the meeting'] }]),
}

const cases: { processor: ProcessorName; file: Sample; parameters?: Record<string, unknown> }[] = [
  { processor: 'image.thumbnail', file: photo },
  { processor: 'image.metadata', file: photo },
  { processor: 'data.convert', file: csv, parameters: { to: 'parquet' } },
  { processor: 'data.profile', file: csv },
  { processor: 'data.validate', file: csv },
  { processor: 'document.text', file: paper },
  { processor: 'document.render', file: paper },
  { processor: 'text.language', file: text },
  { processor: 'text.encoding', file: text },
]

describe.each(levels)('at level %s', (level) => {
  let sandbox: Sandbox
  let scratchFolder: string
  beforeAll(async () => {
    scratchFolder = await mkdtemp(path.join(tmpdir(), 'millrace-processors-'))
    sandbox = await createSandbox({
      level,
      scratchFolder,
      slotsCount: 1,
      clock: systemClock,
      ids: systemIds,
      log: silentLog,
    })
  })
  afterAll(async () => {
    await sandbox.close()
    await rm(scratchFolder, { recursive: true, force: true })
  })

  test.each(cases)('$processor does its work', async ({ processor, file, parameters = {} }) => {
    const folders = await sandbox.prepare(1, 1)
    const { name, contentType } = file
    const bytes = await file.bytes()
    const inputPath = path.join(folders.inputFolder, '0')
    await writeFile(inputPath, bytes)
    const end = await sandbox.run({
      processor,
      tenantId: 1,
      timeoutMs: 60_000,
      memoryBytes: processors[processor].limits.memoryBytes,
      outputBytesMax: 1024 ** 3,
      signal: new AbortController().signal,
      run: {
        files: [{ path: inputPath, name, contentType, sizeBytes: bytes.length, from: 'original' }],
        outputFolder: folders.outputFolder,
        scratchFolder: folders.scratchFolder,
        parameters,
        file: { name, contentType, sizeBytes: bytes.length, sha256: '', metadata: {}, depth: 0 },
        results: {},
      },
    })
    await folders.remove()
    expect(end).toMatchObject({ kind: 'outcome', outcome: { kind: 'done' } })
  })
})
