// Runs the command in a folder of its own and keeps what it wrote.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { run, type World } from '../run.ts'

export interface Ran {
  exitCode: number
  out: string
  err: string
}

export interface Shell {
  folder: string
  /** What the next commands find different from the usual. */
  world: Partial<World>
  run(...words: string[]): Promise<Ran>
  close(): Promise<void>
}

/** Waits are cut short to a hundredth, so that backoff and polling cost a test nothing. */
const hurry = 100

export async function openShell(url: string): Promise<Shell> {
  const folder = await mkdtemp(path.join(tmpdir(), 'millrace-cli-'))
  let nextId = 0
  const shell: Shell = {
    folder,
    world: {},
    async run(...words) {
      let out = ''
      let err = ''
      const exitCode = await run(words, {
        out: { write: (text: string) => (out += text) },
        err: { write: (text: string) => (err += text) },
        fetch: globalThis.fetch,
        environment: { MILLRACE_URL: url, MILLRACE_API_KEY: 'key' },
        cwd: folder,
        projectFolder: folder,
        ask: undefined,
        stateFolder: path.join(folder, '.state'),
        signal: new AbortController().signal,
        version: '1.2.3',
        now: () => performance.now() * hurry,
        random: () => 0.5,
        randomId: () => `id-${++nextId}`,
        sleep: async (durationMs, signal) => delay(durationMs / hurry, undefined, { signal }),
        ...shell.world,
      })
      return { exitCode, out, err }
    },
    close: () => rm(folder, { recursive: true, force: true }),
  }
  return shell
}
