// The one file of the command that touches the process.

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { exitCodes } from './failure.ts'
import { run } from './run.ts'
import { stateFolderOf } from './upload-memory.ts'

const interrupted = new AbortController()
// The second Ctrl-C ends what does not want to end.
process.on('SIGINT', () => (interrupted.signal.aborted ? process.exit(exitCodes.interrupted) : interrupted.abort()))
process.on('SIGTERM', () => interrupted.abort())
// Whoever reads our output may stop reading, as head does; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? exitCodes.done : exitCodes.failed),
)

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

/** The question goes to the standard error, so that a pipe receives results only. */
async function ask(question: string): Promise<string> {
  using lines = createInterface({ input: process.stdin, output: process.stderr })
  return lines.question(question, { signal: interrupted.signal })
}

process.exitCode = await run(process.argv.slice(2), {
  out: process.stdout,
  err: process.stderr,
  fetch: globalThis.fetch,
  environment: process.env,
  cwd: process.cwd(),
  projectFolder: fileURLToPath(new URL('../..', import.meta.url)),
  ask: process.stdin.isTTY && process.stderr.isTTY ? ask : undefined,
  stateFolder: stateFolderOf(process.env, homedir()),
  signal: interrupted.signal,
  version: manifest.version,
  now: Date.now,
  random: Math.random,
  randomId: randomUUID,
  sleep: async (durationMs, signal) => sleep(durationMs, undefined, { signal }),
})
