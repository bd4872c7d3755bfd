// A server as a child process: started with its log in its own folder, watched until it answers, ended by its id.
// On Linux the kernel ends it too when the test run itself is killed.

import { spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chown, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { signalTree } from '../process-tree.ts'

const readyPollMs = 50
const readyDeadlineMs = 60_000
const stopDeadlineMs = 15_000
const logTailChars = 2_000
/** Linux gives out 32,768 and above, the other systems 49,152 and above. */
const portRange = { first: 12_000, end: 32_000 }
const portTriesMax = 1_000

/** An ordinary user to run as, for programs that refuse root. */
export interface RunAs {
  uid: number
  gid: number
}

export interface StartOptions {
  name: string
  command: string
  args: readonly string[]
  /** Made by makeServerFolder; removed by stop. */
  folder: string
  environment?: Record<string, string>
  runAs?: RunAs | undefined
  /** Asked until it answers true; what it throws counts as "not yet". */
  ready: () => Promise<boolean>
  stopSignal?: NodeJS.Signals
}

/** A folder of its own below the system's temporary folder. */
export async function makeServerFolder(name: string, owner?: RunAs): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), `millrace-test-${name}-`))
  if (owner) await chown(folder, owner.uid, owner.gid)
  return folder
}

/**
 * Ports of loopback that are free, and that no one is given who asks the system for any port or connects to somewhere:
 * all systems take those from above this range, so that ours stay free until they are listened on, and while the server
 * that has one is started again.
 */
export async function findFreePorts(count: number): Promise<number[]> {
  const found = new Set<number>()
  for (let tries = 0; found.size < count; tries++) {
    if (tries > portTriesMax + count) throw new Error(`no free port was found below ${portRange.end} on 127.0.0.1`)
    const port = randomInt(portRange.first, portRange.end)
    if (await isFree(port)) found.add(port)
  }
  return [...found]
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const listening = await new Promise<boolean>((resolve) =>
    server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)),
  )
  if (listening) await new Promise((resolve) => server.close(resolve))
  return listening
}

/** A server that can be made to fail, and started again as a supervisor would. */
export interface ServerProcess {
  /** Of the process that runs now. */
  pid(): number
  /** Ends it and leaves its folder as it is; the whole of it at once with SIGKILL. */
  end(signal: NodeJS.Signals): Promise<void>
  /** Starts what has ended, on the same folder and ports; resolves once it is ready. */
  startAgain(): Promise<void>
  /** Ends it and removes its folder. */
  stop(): Promise<void>
}

/** Resolves once the server is ready; rejects, with nothing left behind, when it ends before or stays silent. */
export async function startServerProcess(options: StartOptions): Promise<ServerProcess> {
  let running: Running
  const stop = async () => {
    await end(running, options.stopSignal ?? 'SIGTERM')
    await rm(options.folder, { recursive: true, force: true, maxRetries: 3 })
  }
  try {
    running = await launch(options)
  } catch (error) {
    await rm(options.folder, { recursive: true, force: true, maxRetries: 3 })
    throw error
  }
  return {
    pid: () => running.child.pid ?? 0,
    async end(signal) {
      if (signal === 'SIGKILL') signalTree(running.child.pid ?? 0, signal)
      await end(running, signal)
    },
    async startAgain() {
      await running.ended
      running = await launch(options)
    },
    stop,
  }
}

interface Running {
  child: ChildProcess
  ended: Promise<string>
}

/** Throws with the end of its log when it does not get ready; nothing runs then. */
async function launch(options: StartOptions): Promise<Running> {
  const logFile = path.join(options.folder, 'server.log')
  const log = await open(logFile, 'a')
  const { command, args } = endedWithParent(options)
  const child = spawn(command, args, {
    cwd: options.folder,
    stdio: ['ignore', log.fd, log.fd],
    env: { PATH: process.env['PATH'], HOME: options.folder, LC_ALL: 'C', ...options.environment },
  })
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(`ended with ${signal ?? code}`))
  })
  await log.close()
  const running = { child, ended }
  const outcome = await Promise.race([waitUntilReady(options.ready), ended])
  if (outcome === 'ready' && child.pid !== undefined) return running
  const tail = (await readFile(logFile, 'utf8').catch(() => '')).slice(-logTailChars)
  await end(running, options.stopSignal ?? 'SIGTERM')
  throw new Error(`${options.name} did not start: ${outcome}\n${tail}`)
}

async function waitUntilReady(ready: () => Promise<boolean>): Promise<string> {
  const deadline = Date.now() + readyDeadlineMs
  while (Date.now() < deadline) {
    if (await ready().catch(() => false)) return 'ready'
    await delay(readyPollMs)
  }
  return `no answer within ${readyDeadlineMs / 1000} s`
}

async function end({ child, ended }: Running, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), stopDeadlineMs)
  await ended
  clearTimeout(timer)
}

const setpriv = '/usr/bin/setpriv'

/** Asks the kernel to end the program with us, and changes the user, where setpriv can do both. */
export function endedWithParent(options: Pick<StartOptions, 'name' | 'command' | 'args' | 'runAs'>): {
  command: string
  args: string[]
} {
  if (process.platform !== 'linux' || !existsSync(setpriv)) {
    if (options.runAs) throw new Error(`${options.name} must not run as root, and there is no ${setpriv}.`)
    return { command: options.command, args: [...options.args] }
  }
  const user = options.runAs ? [`--reuid=${options.runAs.uid}`, `--regid=${options.runAs.gid}`, '--clear-groups'] : []
  return { command: setpriv, args: ['--pdeathsig=KILL', ...user, options.command, ...options.args] }
}
