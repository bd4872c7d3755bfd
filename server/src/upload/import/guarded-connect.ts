// Connections to wherever somebody else says, without being led astray: a name is resolved once, every address it has must
// be allowed, and the connection goes to one of the addresses that were looked at and to no other. A guard on the name
// alone, or on a lookup hook, is passed by literal addresses and by names that answer differently the second time.

import { lookup } from 'node:dns/promises'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '../../platform/clock.ts'
import { Problem } from '../../platform/problem.ts'
import type { AddressRules } from './address-rules.ts'

export interface GuardOptions {
  rules: AddressRules
  clock: Clock
  /** All addresses of a name; default: the system's. */
  resolve?: (name: string) => Promise<string[]>
}

const resolveTimeoutMs = 10_000
const connectTimeoutMs = 10_000

const resolveBySystem = async (name: string): Promise<string[]> =>
  (await lookup(name, { all: true, verbatim: true })).map(({ address }) => address)

/** An IPv6 address without its brackets, a name without the dot at its end. */
export const hostOf = (hostname: string): string =>
  hostname.startsWith('[') ? hostname.slice(1, -1) : hostname.replace(/\.$/, '')

/**
 * The address to connect to. All that the name has must be allowed: one that is not says what the name is for. Throws
 * import_url_forbidden, and import_source_unavailable for a name that nobody knows.
 */
export async function findAddress(
  { rules, clock, resolve = resolveBySystem }: GuardOptions,
  host: string,
): Promise<string> {
  const addresses = isIP(host) === 0 ? await resolveInTime(resolve, clock, host) : [host]
  const [first] = addresses ?? []
  if (addresses === undefined || first === undefined)
    throw new Problem('import_source_unavailable', { detail: 'The name of the host is not known.' })
  if (!addresses.every((address) => rules.allowsAddress(address)))
    throw new Problem('import_url_forbidden', { detail: 'It leads to an address that is not public.' })
  return first
}

async function resolveInTime(
  resolve: (name: string) => Promise<string[]>,
  clock: Clock,
  name: string,
): Promise<string[] | undefined> {
  const resolved = new AbortController()
  const late = clock.sleep(resolveTimeoutMs, resolved.signal).then(() => undefined)
  const addresses = await Promise.race([resolve(name).catch(() => undefined), late])
  resolved.abort()
  return addresses
}

export interface GuardedConnection {
  /** One that findAddress has answered. */
  address: string
  port: number
  /** Given: by TLS, for this name; empty for a host that is an address. */
  servername?: string
}

/** A socket that is destroyed when the connection takes too long, or leads to where it must not. */
export function connectGuarded({ rules, clock }: GuardOptions, connection: GuardedConnection): Socket {
  const { address, port, servername } = connection
  const socket =
    servername === undefined
      ? connectTcp({ host: address, port })
      : connectTls({ host: address, port, ...(servername !== '' && { servername }) })
  const connected = new AbortController()
  void clock.sleep(connectTimeoutMs, connected.signal).then(() => {
    if (socket.connecting) socket.destroy(new Error('The connection took too long'))
  })
  socket.once('close', () => connected.abort())
  socket.once('connect', () => {
    connected.abort()
    // The system has connected to what it was told; this says so if it ever does not.
    if (!rules.allowsAddress(socket.remoteAddress ?? '')) socket.destroy(new Error('Another address answered'))
  })
  return socket
}

type Connected = (error: Error | null, socket: Duplex) => void

/** For clients that bring their own HTTP: every connection they make is a guarded one. */
export function createGuardedAgents(options: GuardOptions): { httpAgent: HttpAgent; httpsAgent: HttpsAgent } {
  const connect = (
    target: { host?: string | null; port?: unknown },
    isTls: boolean,
    connected: Connected,
  ): undefined => {
    const host = hostOf(target.host ?? '')
    const port = Number(target.port)
    const servername = isIP(host) === 0 ? host : ''
    void (async () => {
      if (!options.rules.allowsPort(port))
        throw new Problem('import_url_forbidden', { detail: `Port ${port} is not allowed.` })
      const address = await findAddress(options, host)
      return connectGuarded(options, { address, port, ...(isTls && { servername }) })
    })().then(
      (socket) => connected(null, socket),
      // There is no socket when there is an error, whatever the type says.
      (error: Error) => connected(error, undefined as unknown as Duplex),
    )
  }
  class GuardedHttpAgent extends HttpAgent {
    override createConnection(target: object, connected: Connected): undefined {
      return connect(target, false, connected)
    }
  }
  class GuardedHttpsAgent extends HttpsAgent {
    override createConnection(target: object, connected: Connected): undefined {
      return connect(target, true, connected)
    }
  }
  return {
    httpAgent: new GuardedHttpAgent({ keepAlive: true }),
    httpsAgent: new GuardedHttpsAgent({ keepAlive: true }),
  }
}
