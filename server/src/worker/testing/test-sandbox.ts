// A sandbox over the hostile processors, in a folder of its own, and a short way to run one of them.

import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../platform/clock.ts'
import { systemIds } from '../../platform/ids.ts'
import { silentLog } from '../../platform/log.ts'
import { createSandbox } from '../sandbox/choose.ts'
import type { Sandbox, SandboxEnd, SandboxFolders, SandboxLevel, SandboxTask } from '../sandbox/sandbox.ts'

export interface TestRun extends Partial<
  Pick<SandboxTask, 'tenantId' | 'timeoutMs' | 'memoryBytes' | 'outputBytesMax' | 'outputFilesMax' | 'signal'>
> {
  input?: string
  isolation?: 'warm' | 'cli'
  parameters?: Record<string, unknown>
  /** Gives the parameter "path": a name in this folder of the task. */
  into?: (folders: SandboxFolders) => string
  /** Reads the output folder back. */
  keep?: boolean
}

export interface TestSandbox extends AsyncDisposable {
  sandbox: Sandbox
  scratchFolder: string
  run(
    processor: string,
    run?: TestRun,
  ): Promise<{ end: SandboxEnd; folders: SandboxFolders; files: Record<string, string> }>
  close(): Promise<void>
}

export const hostileRunsFile = fileURLToPath(new URL('hostile-runs.ts', import.meta.url))

/** Runs the hostile processors unless another file of runs is given. */
export async function openTestSandbox(
  level: SandboxLevel,
  parent?: string,
  runsFile = hostileRunsFile,
): Promise<TestSandbox> {
  const scratchFolder = parent ?? (await mkdtemp(path.join(tmpdir(), 'millrace-sandbox-')))
  const sandbox = await createSandbox({
    level,
    scratchFolder,
    slotsCount: 2,
    clock: systemClock,
    ids: systemIds,
    log: silentLog,
    runsFile,
  })
  const house: TestSandbox = {
    sandbox,
    scratchFolder,
    async run(processor, { input, isolation = 'warm', parameters = {}, into, keep = false, ...task } = {}) {
      const tenantId = task.tenantId ?? 7
      const folders = await sandbox.prepare(1, tenantId, { isolation, processor })
      const file = path.join(folders.inputFolder, '0')
      if (input !== undefined) await writeFile(file, input)
      const end = await sandbox.run({
        processor,
        tenantId,
        timeoutMs: 20_000,
        memoryBytes: 1024 ** 3,
        outputBytesMax: 1024 ** 3,
        signal: new AbortController().signal,
        ...task,
        run: {
          files:
            input === undefined
              ? []
              : [{ path: file, name: 'input', contentType: 'text/plain', sizeBytes: input.length, from: 'original' }],
          outputFolder: folders.outputFolder,
          scratchFolder: folders.scratchFolder,
          parameters: into === undefined ? parameters : { ...parameters, path: path.join(into(folders), 'planted') },
          file: { name: 'input', contentType: 'text/plain', sizeBytes: 0, sha256: '', metadata: {}, depth: 0 },
          results: {},
        },
      })
      const files = keep ? await readAll(folders.outputFolder) : {}
      await folders.remove()
      return { end, folders, files }
    },
    async close() {
      await sandbox.close()
      if (parent === undefined) await rm(scratchFolder, { recursive: true, force: true })
    },
    [Symbol.asyncDispose]: () => house.close(),
  }
  return house
}

async function readAll(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const name of await readdir(folder))
    if ((await stat(path.join(folder, name))).isFile()) files[name] = await readFile(path.join(folder, name), 'utf8')
  return files
}
