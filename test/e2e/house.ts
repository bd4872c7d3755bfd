// A running product, from outside: in one process on embedded parts, or one process per role on real servers behind a
// front door. Which of the two is told by MILLRACE_TEST_SHAPE, and no test needs to know. Everything lies in a temporary
// folder; every process is ended by its id, and with the test run when that is killed.

import { createClient, type Client } from '@millrace/contract'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { findFreePorts } from '../harness/servers/server-process.ts'
import { openFrontDoor } from './front-door.ts'
import { makeInstallation, type Installation } from './installation.ts'
import { runServerCommand, startServerChild, untilReady, type ServerChild } from './server-child.ts'

export type Shape = 'one-process' | 'split'
export const shape: Shape = process.env['MILLRACE_TEST_SHAPE'] === 'split' ? 'split' : 'one-process'

/** What the first start wrote for whoever runs it. */
export interface Credentials {
  url: string
  api_key: string
  email: string
  password: string
}

export interface House {
  readonly url: string
  /** Folder of the process that has the credentials; in one process, of everything. */
  readonly dataFolder: string
  readonly credentials: Credentials
  /** With the key of the first start. */
  readonly client: Client
  /** Environment of each process. */
  readonly environment: Readonly<Record<string, string>>
  /** Processes that run now, by role. */
  children(): ReadonlyMap<string, ServerChild>
  /** Stops in order, as Ctrl-C does. Answers how each process ended, and after how many milliseconds the last did. */
  stop(): Promise<{ codes: (number | string)[]; milliseconds: number }>
  /** Ends processes at once, as kill -9 does: those of these roles, or all. */
  kill(roles?: readonly string[]): Promise<void>
  /** Starts again what was stopped or killed, on the same data and ports. */
  start(): Promise<void>
  /** Runs a command of the server on the same settings. */
  command(...args: string[]): Promise<{ code: number | string; output: string }>
  /** What the processes wrote, for the message of a failed test. */
  logs(): Promise<string>
  close(): Promise<void>
}

export interface HouseOptions {
  shape?: Shape
  environment?: Record<string, string>
}

const closeDeadlineMs = 15_000
const splitRoles = ['maintenance', 'worker', 'api', 'upload'] as const

export async function openHouse(options: HouseOptions = {}): Promise<House> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-house-'))
  const house = await ((options.shape ?? shape) === 'split' ? splitPlan(folder) : onePlan(folder))
  const environment = { LOG_LEVEL: 'warn', NO_COLOR: '1', ...house.environment, ...options.environment }
  const running = new Map<string, ServerChild>()

  const child = (name: string, args: readonly string[]) => ({
    name,
    args,
    environment,
    logFile: path.join(folder, `${name}.log`),
  })
  const startAll = async (): Promise<void> => {
    const missing = Object.entries(house.processes).filter(([name]) => !running.has(name))
    await Promise.all(
      missing.map(async ([name, { args, url }]) => {
        const started = startServerChild(child(name, args))
        running.set(name, started)
        await untilReady(started, url, name)
      }),
    )
  }
  const send = async (signal: NodeJS.Signals, roles = [...running.keys()]): Promise<(number | string)[]> => {
    const children = roles.flatMap((role) => running.get(role) ?? [])
    for (const one of children) one.send(signal)
    const codes = await Promise.all(children.map((one) => one.ended))
    for (const role of roles) running.delete(role)
    return codes
  }
  const logs = async (): Promise<string> =>
    (
      await Promise.all(
        Object.keys(house.processes).map(
          async (name) => `── ${name}\n${await readFile(path.join(folder, `${name}.log`), 'utf8').catch(() => '')}`,
        ),
      )
    ).join('\n')
  const close = async (): Promise<void> => {
    const timer = setTimeout(() => void send('SIGKILL'), closeDeadlineMs)
    await send('SIGTERM')
    clearTimeout(timer)
    await house.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }

  try {
    for (const args of house.before) {
      const { code, output } = await runServerCommand(child('before', args))
      if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}\n${output}`)
    }
    await startAll()
    const credentials = JSON.parse(
      await readFile(path.join(house.dataFolder, 'credentials.json'), 'utf8'),
    ) as Credentials // Written by the product; the tests find out whether it is right.
    return {
      url: house.url,
      dataFolder: house.dataFolder,
      credentials,
      client: createClient({ baseUrl: house.url, credentials: credentials.api_key }),
      environment,
      children: () => running,
      async stop() {
        const started = performance.now()
        const codes = await send('SIGINT')
        return { codes, milliseconds: performance.now() - started }
      },
      kill: async (roles) => void (await send('SIGKILL', roles === undefined ? undefined : [...roles])),
      start: startAll,
      command: (...args) => runServerCommand(child('command', [...args, '--data', house.dataFolder])),
      logs,
      close,
    }
  } catch (error) {
    const told = await logs()
    await close()
    throw new Error(`the house did not open\n${told}`, { cause: error })
  }
}

interface Plan {
  url: string
  dataFolder: string
  environment: Record<string, string>
  /** Commands that run to their end before anything is started. */
  before: readonly (readonly string[])[]
  processes: Readonly<Record<string, { args: readonly string[]; url: string }>>
  close(): Promise<void>
}

async function onePlan(folder: string): Promise<Plan> {
  const [port = 0] = await findFreePorts(1)
  const dataFolder = path.join(folder, 'data')
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    dataFolder,
    environment: {},
    before: [],
    processes: { all: { args: ['serve', '--data', dataFolder, '--port', String(port)], url } },
    close: async () => undefined,
  }
}

async function splitPlan(folder: string): Promise<Plan> {
  const ports = await findFreePorts(splitRoles.length + 1)
  const portOf = (role: (typeof splitRoles)[number]): number => ports[splitRoles.indexOf(role)] ?? 0
  const installation: Installation = await makeInstallation()
  const door = await openFrontDoor({ api: portOf('api'), upload: portOf('upload') }, ports.at(-1) ?? 0)
  const dataOf = (role: string): string => path.join(folder, role)
  for (const role of splitRoles) await mkdir(dataOf(role), { mode: 0o700 })
  return {
    url: door.url,
    dataFolder: dataOf('api'),
    environment: {
      ...installation.environment,
      MILLRACE_MASTER_KEY_FILE: path.join(folder, 'master.key'),
      MILLRACE_PUBLIC_URL: door.url,
    },
    before: [['migrate', '--data', dataOf('api')]],
    processes: Object.fromEntries(
      splitRoles.map((role) => [
        role,
        {
          args: ['serve', '--role', role, '--data', dataOf(role), '--port', String(portOf(role))],
          url: `http://127.0.0.1:${portOf(role)}`,
        },
      ]),
    ),
    async close() {
      await door.close()
      await installation.remove()
    },
  }
}
