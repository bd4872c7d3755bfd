// A split installation that can be hurt: six processes of ours on a PostgreSQL, a Redis and an S3 server of its own, and
// between each process and each server a line that can fail. Set up once, it takes one fault after the other.

import { createClient, type Client } from '@millrace/contract'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { openFrontDoor } from '../e2e/front-door.ts'
import type { Credentials } from '../e2e/house.ts'
import { runServerCommand, startServerChild, untilReady, type ServerChild } from '../e2e/server-child.ts'
import { openFaultProxy, type FaultProxy } from '../harness/fault-proxy.ts'
import { signalTree } from '../harness/process-tree.ts'
import { findFreePorts } from '../harness/servers/server-process.ts'
import { openServers, type Servers, type ServersChoice } from './servers.ts'

export const roleNames = ['api', 'upload', 'worker-1', 'worker-2', 'maintenance-1', 'maintenance-2'] as const
export type RoleName = (typeof roleNames)[number]
export const workers = ['worker-1', 'worker-2'] as const
export const maintainers = ['maintenance-1', 'maintenance-2'] as const
export const serverNames = ['postgres', 'redis', 'store'] as const
export type ServerName = (typeof serverNames)[number]

export interface Rig {
  readonly servers: Servers
  /** One per tenant; the first may look at the installation too. */
  readonly tenants: readonly Client[]
  line(role: RoleName, server: ServerName): FaultProxy
  lines(server: ServerName): FaultProxy[]
  /** Process id, for whoever wants to send it something; 0 when it does not run. */
  pidOf(role: RoleName): number
  /** Stops where it stands, with its children, or goes on. */
  freeze(role: RoleName): void
  thaw(role: RoleName): void
  /** Ends it, as whoever runs it may, and waits for that. */
  end(role: RoleName, signal: NodeJS.Signals): Promise<void>
  /** Starts it, as a supervisor does, with this beside the usual environment. */
  start(role: RoleName, environment?: Record<string, string>): Promise<void>
  /** The maintenance role that leads, or led last. */
  leader(): Promise<RoleName>
  /** Folder in which a worker keeps the files of running tasks. */
  scratchOf(role: RoleName): string
  /** Kills the database when a standby has every commit, and puts that in its place. */
  failOver(): Promise<void>
  /** All is as it should be again: lines, servers and processes; every process is ready. */
  heal(): Promise<void>
  /** Processes that ended though nobody asked them to, since the last time somebody asked. */
  takeSurprises(): string[]
  /** The figures that a role tells. */
  metrics(role: RoleName): Promise<string>
  /** The end of what each process wrote. */
  logs(): Promise<string>
  close(): Promise<void>
}

const tenantsCount = 3
const scratchRoomBytes = 96 * 1024 * 1024
const closeDeadlineMs = 15_000
const startDeadlineMs = 60_000
const startPauseMs = 500
const logTailChars = 6_000
/** A file system that is soon full can be made by root on Linux only. */
export const canFillDisk = process.platform === 'linux' && process.getuid?.() === 0
export const skewFile = fileURLToPath(new URL('skewed-clock.mjs', import.meta.url))

export async function openRig(choice: ServersChoice): Promise<Rig> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-rig-'))
  const servers = await openServers(choice)
  const mounts: string[] = []
  const proxies = new Map<string, FaultProxy>()
  const children = new Map<RoleName, ServerChild>()
  const starting = new Map<RoleName, Promise<void>>()
  const asked = new WeakSet<ServerChild>()
  const surprises: string[] = []
  const ports = await findFreePorts(roleNames.length + 1)
  const portOf = (role: RoleName): number => ports[roleNames.indexOf(role)] ?? 0
  const urlOf = (role: RoleName): string => `http://127.0.0.1:${portOf(role)}`
  const dataOf = (role: RoleName): string => path.join(folder, role)
  const logOf = (role: RoleName): string => path.join(folder, `${role}.log`)
  const door = await openFrontDoor({ api: portOf('api'), upload: portOf('upload') }, ports.at(-1) ?? 0)

  const line = (role: RoleName, server: ServerName): FaultProxy => {
    const proxy = proxies.get(`${role} ${server}`)
    if (!proxy) throw new Error(`there is no line from ${role} to ${server}`)
    return proxy
  }
  const lines = (server: ServerName): FaultProxy[] => roleNames.map((role) => line(role, server))
  const environmentOf = (role: RoleName): Record<string, string> => ({
    LOG_LEVEL: 'info',
    NO_COLOR: '1',
    MILLRACE_MASTER_KEY_FILE: path.join(folder, 'master.key'),
    MILLRACE_PUBLIC_URL: door.url,
    ...servers.settings({
      postgres: line(role, 'postgres').port,
      redis: line(role, 'redis').port,
      store: line(role, 'store').port,
    }),
  })

  async function startOnce(role: RoleName, environment: Record<string, string>): Promise<void> {
    const deadline = Date.now() + startDeadlineMs
    for (;;) {
      const child = startServerChild({
        name: role,
        args: ['serve', '--role', role.replace(/-\d$/, ''), '--data', dataOf(role), '--port', String(portOf(role))],
        environment: { ...environmentOf(role), ...environment },
        logFile: logOf(role),
      })
      children.set(role, child)
      try {
        await untilReady(child, urlOf(role), role)
        void child.ended.then((how) => {
          if (!asked.has(child)) surprises.push(`${role} ended with ${how}`)
        })
        return
      } catch (error) {
        if (asked.has(child)) return // Another fault has ended it meanwhile.
        // Without its database it refuses to start, and a supervisor tries again.
        if (!child.hasEnded() || Date.now() > deadline) throw error
        await delay(startPauseMs)
      }
    }
  }
  const start: Rig['start'] = async (role, environment = {}) => {
    const running = children.get(role)
    if (running !== undefined && !running.hasEnded() && !starting.has(role)) return
    const ours = starting.get(role) ?? startOnce(role, environment).finally(() => starting.delete(role))
    starting.set(role, ours)
    await ours
  }
  const end: Rig['end'] = async (role, signal) => {
    const child = children.get(role)
    if (child === undefined) return
    asked.add(child)
    child.send(signal)
    await child.ended
  }
  const pidOf = (role: RoleName): number => {
    const child = children.get(role)
    return child === undefined || child.hasEnded() ? 0 : child.pid
  }
  const freeze = (role: RoleName): void => {
    if (pidOf(role) !== 0) signalTree(pidOf(role), 'SIGSTOP')
  }
  const thaw = (role: RoleName): void => {
    if (pidOf(role) !== 0) signalTree(pidOf(role), 'SIGCONT')
  }

  const heal = async (): Promise<void> => {
    for (const role of roleNames) thaw(role)
    for (const proxy of proxies.values()) proxy.set(undefined)
    await servers.heal()
    await Promise.all(
      roleNames.map(async (role) => {
        await start(role)
        const child = children.get(role)
        if (child) await untilReady(child, urlOf(role), role)
      }),
    )
  }

  const logs: Rig['logs'] = async () =>
    (
      await Promise.all(
        roleNames.map(async (role) => {
          const text = await readFile(logOf(role), 'utf8').catch(() => '')
          return `── ${role}\n${text.slice(-logTailChars)}`
        }),
      )
    ).join('\n')

  const leader = async (): Promise<RoleName> => {
    const epochs = await Promise.all(
      maintainers.map(async (role) => {
        const log = await readFile(logOf(role), 'utf8').catch(() => '')
        const taken = [...log.matchAll(/"leader\.taken".*?"epoch":(\d+)/g)]
        return { role, epoch: Math.max(0, ...taken.map(([, epoch]) => Number(epoch))) }
      }),
    )
    return epochs.reduce((last, one) => (one.epoch > last.epoch ? one : last)).role
  }

  const close = async (): Promise<void> => {
    for (const role of roleNames) thaw(role)
    for (const child of children.values()) asked.add(child)
    const timer = setTimeout(() => {
      for (const child of children.values()) child.send('SIGKILL')
    }, closeDeadlineMs)
    await Promise.all(
      [...children.values()].map(async (child) => {
        if (!child.hasEnded()) child.send('SIGTERM')
        await child.ended
      }),
    )
    clearTimeout(timer)
    await door.close()
    for (const proxy of proxies.values()) await proxy.close()
    await servers.close()
    for (const mount of mounts) execFileSync('umount', ['-l', mount])
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }

  try {
    for (const role of roleNames) {
      await mkdir(dataOf(role), { mode: 0o700 })
      for (const server of serverNames) proxies.set(`${role} ${server}`, await openFaultProxy(servers.portOf(server)))
    }
    for (const role of canFillDisk ? workers : []) {
      const scratch = path.join(dataOf(role), 'scratch')
      await mkdir(scratch, { mode: 0o700 })
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${scratchRoomBytes},mode=0700`, 'tmpfs', scratch])
      mounts.push(scratch)
    }
    const command = async (...args: string[]): Promise<string> => {
      const { code, output } = await runServerCommand({
        name: 'command',
        args: [...args, '--data', dataOf('api')],
        environment: environmentOf('api'),
        logFile: path.join(folder, `command-${args[0]}-${args[1] ?? ''}.log`),
      })
      if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}\n${output}`)
      return output
    }
    await command('migrate')
    await Promise.all(roleNames.map((role) => start(role)))
    const credentials = JSON.parse(await readFile(path.join(dataOf('api'), 'credentials.json'), 'utf8')) as Credentials // Written by the product.
    const keys = [credentials.api_key]
    for (let number = 1; number < tenantsCount; number++) {
      const output = await command('tenant', `Tenant-${number}`, '--email', `admin-${number}@example.com`)
      keys.push(/^key\s+(\S+)$/m.exec(output)?.[1] ?? '')
    }
    return {
      servers,
      tenants: keys.map((key) => createClient({ baseUrl: door.url, credentials: key })),
      line,
      lines,
      pidOf,
      freeze,
      thaw,
      end,
      start,
      leader,
      scratchOf: (role) => path.join(dataOf(role), 'scratch'),
      failOver: () => servers.failOver((port) => lines('postgres').forEach((proxy) => proxy.moveTo(port))),
      heal,
      takeSurprises: () => surprises.splice(0),
      metrics: async (role) => {
        const answer = await fetch(`${urlOf(role)}/metrics`, { signal: AbortSignal.timeout(10_000) })
        return answer.text()
      },
      logs,
      close,
    }
  } catch (error) {
    const told = await logs()
    await close()
    throw new Error(`the installation did not start\n${told}`, { cause: error })
  }
}
