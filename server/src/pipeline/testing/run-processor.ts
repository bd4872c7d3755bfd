// Runs a run function on local files in temporary folders, as the sandbox would, but in this process. For tests.

import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OutputFile, ProcessorOutcome, SandboxedProcessor, SandboxRun } from '../processor.ts'

export interface TestFile {
  name: string
  contentType: string
  bytes: Uint8Array | string
  /** 'original' unless told. */
  from?: string
}

export interface ProcessorTestRun extends AsyncDisposable {
  outcome: ProcessorOutcome
  /** Outputs with their bytes, in the order told by the processor. */
  outputs: (OutputFile & { bytes: Buffer; fullPath: string })[]
  scratchFolder: string
}

/** Runs `processor` over `files` and reads its outputs back; `await using` removes the folders. */
export async function runProcessor(
  processor: SandboxedProcessor,
  files: TestFile[],
  run: Partial<Pick<SandboxRun, 'parameters' | 'results' | 'file'>> = {},
): Promise<ProcessorTestRun> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-run-'))
  const [inputFolder, outputFolder, scratchFolder] = ['in', 'out', 'scratch'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  for (const path of [inputFolder, outputFolder, scratchFolder]) await mkdir(path)
  const inputs = await Promise.all(
    files.map(async ({ bytes, name, contentType, from = 'original' }, index) => {
      const path = join(inputFolder, String(index))
      await writeFile(path, bytes)
      return { path, name, contentType, sizeBytes: Buffer.byteLength(bytes), from }
    }),
  )
  const first = files[0]
  const outcome = await processor({
    files: inputs,
    outputFolder,
    scratchFolder,
    parameters: run.parameters ?? {},
    results: run.results ?? {},
    file: run.file ?? {
      name: first?.name ?? 'file',
      contentType: first?.contentType ?? 'application/octet-stream',
      sizeBytes: inputs[0]?.sizeBytes ?? 0,
      sha256: createHash('sha256')
        .update(first?.bytes ?? '')
        .digest('hex'),
      metadata: {},
      depth: 0,
    },
  })
  const outputs = outcome.kind === 'done' ? outcome.outputs : []
  return {
    outcome,
    scratchFolder,
    outputs: await Promise.all(
      outputs.map(async (output) => {
        const fullPath = join(outputFolder, output.path)
        return { ...output, fullPath, bytes: await readFile(fullPath) }
      }),
    ),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
