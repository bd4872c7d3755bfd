// One process of the product, started as a person would start it: `node server/src/main.ts …` under the project's Node.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { endedWithParent } from '../harness/servers/server-process.ts'

export const projectFolder = fileURLToPath(new URL('../..', import.meta.url))
const mainFile = fileURLToPath(new URL('../../server/src/main.ts', import.meta.url))
const readyDeadlineMs = 90_000
const readyPollMs = 50
const logTailChars = 4_000

export interface ServerChildOptions {
  name: string
  /** Of main.ts. */
  args: readonly string[]
  environment: Record<string, string>
  logFile: string
}

export interface ServerChild {
  readonly pid: number
  /** Exit code or signal, once it has ended. */
  readonly ended: Promise<number | string>
  hasEnded(): boolean
  /** Whether it has told its person where it is. */
  hasAnnounced(): boolean
  send(signal: NodeJS.Signals): void
  /** The last of what it wrote, for people. */
  log(): Promise<string>
}

export function startServerChild({ name, args, environment, logFile }: ServerChildOptions): ServerChild {
  const log = createWriteStream(logFile, { flags: 'a' })
  const command = endedWithParent({ name, command: process.execPath, args: [mainFile, ...args] })
  const child = spawn(command.command, command.args, {
    cwd: projectFolder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], TMPDIR: process.env['TMPDIR'], ...environment },
  })
  let announced = false
  child.stdout.on('data', (chunk: Buffer) => (announced ||= chunk.includes('Millrace is ready at')))
  child.stdout.pipe(log, { end: false })
  child.stderr.pipe(log, { end: false })
  const ended = endOf(child)
  return {
    pid: child.pid ?? 0,
    ended,
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    hasAnnounced: () => announced,
    send: (signal) => void child.kill(signal),
    log: async () => (await readFile(logFile, 'utf8').catch(() => '')).slice(-logTailChars),
  }
}

/** Resolves with the exit code or the signal that ended it. */
async function endOf(child: ChildProcess): Promise<number | string> {
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return code ?? signal ?? 'unknown end'
}

/** Waits until the process is ready and has said so. Throws with the end of its log when it ends or stays silent. */
export async function untilReady(child: ServerChild, url: string, name: string): Promise<void> {
  const deadline = Date.now() + readyDeadlineMs
  while (Date.now() < deadline && !child.hasEnded()) {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined)
    if (answer?.ok && child.hasAnnounced()) return
    await delay(readyPollMs)
  }
  throw new Error(`${name} did not get ready.\n${await child.log()}`)
}

/** Runs a command of the server to its end. */
export async function runServerCommand(
  options: ServerChildOptions,
): Promise<{ code: number | string; output: string }> {
  const child = startServerChild(options)
  const code = await child.ended
  return { code, output: await child.log() }
}
