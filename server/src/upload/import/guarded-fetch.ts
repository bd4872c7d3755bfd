// A GET to wherever somebody's URL leads, without being led astray: the name is resolved once, every address it has must
// be allowed, the connection goes to one of the addresses that were looked at and to no other, and each redirect is
// looked at anew. A guard on the name alone, or on a lookup hook, is passed by literal addresses and by names that answer
// differently the second time.

import { lookup } from 'node:dns/promises'
import { request as requestHttp, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '../../platform/clock.ts'
import { Problem } from '../../platform/problem.ts'
import type { AddressRules } from './address-rules.ts'

export interface GuardedFetchOptions {
  rules: AddressRules
  clock: Clock
  /** All addresses of a name; default: the system's. */
  resolve?: (name: string) => Promise<string[]>
}

export interface GuardedRequest {
  url: URL
  /** Sent to the host of the URL, and to no other that it redirects to. */
  secretHeaders: Readonly<Record<string, string>>
  /** Sent wherever it leads. */
  headers: Readonly<Record<string, string>>
  signal: AbortSignal
}

export interface GuardedResponse {
  /** Where the redirects have led. */
  url: URL
  status: number
  headers: IncomingHttpHeaders
  /** Ends with an error when the source breaks off or is slower than a trickle. */
  body: AsyncIterable<Uint8Array>
  /** Lets go of a body that will not be read. */
  readonly dispose: () => void
}

/**
 * Throws import_url_forbidden for an address, port or scheme that is not allowed, import_refused for redirects that go
 * nowhere, import_source_unavailable when nobody answers in time.
 */
export type GuardedFetch = (request: GuardedRequest) => Promise<GuardedResponse>

const redirectsCountMax = 5
const resolveTimeoutMs = 10_000
const connectTimeoutMs = 10_000
const answerTimeoutMs = 30_000
/** A source is held to the pace of an uploading client, over windows that bear the pauses of a busy one. */
const bodyWindowMs = 30_000
const bodyBytesPerSecondMin = 4_096
const headerSizeBytesMax = 32 * 1024

const resolveBySystem = async (name: string): Promise<string[]> =>
  (await lookup(name, { all: true, verbatim: true })).map(({ address }) => address)

export function createGuardedFetch(options: GuardedFetchOptions): GuardedFetch {
  return async (request) => {
    let { url } = request
    let secretHeaders = request.secretHeaders
    for (let redirectsCount = 0; redirectsCount <= redirectsCountMax; redirectsCount++) {
      const address = await vet(options, url)
      const headers = { ...request.headers, ...secretHeaders }
      const message = await get(options, { url, address, headers, signal: request.signal })
      const status = message.statusCode ?? 0
      const { location } = message.headers
      if (![301, 302, 303, 307, 308].includes(status) || location === undefined)
        return {
          url,
          status,
          headers: message.headers,
          body: pacedBody(message, options.clock),
          dispose: () => message.destroy(),
        }
      message.destroy()
      const next = follow(url, location)
      if (next.origin !== url.origin) secretHeaders = {}
      url = next
    }
    throw new Problem('import_refused', { detail: `It redirects more than ${redirectsCountMax} times.` })
  }
}

function follow(url: URL, location: string): URL {
  if (!URL.canParse(location, url)) throw new Problem('import_refused', { detail: 'It redirects to what is no URL.' })
  const next = new URL(location, url)
  if (url.protocol === 'https:' && next.protocol === 'http:')
    throw new Problem('import_url_forbidden', { detail: 'It redirects from https to http.' })
  return next
}

/** Undefined for a URL that could be fetched as far as it can be told without resolving it; else what is wrong with it. */
export function findUrlFault(url: URL, rules: AddressRules): string | undefined {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'Only http and https are fetched.'
  if (!rules.allowsPort(portOf(url))) return `Port ${portOf(url)} is not allowed.`
  const host = hostOf(url)
  if (isIP(host) !== 0 && !rules.allowsAddress(host)) return 'It leads to an address that is not public.'
  return undefined
}

const portOf = (url: URL): number => (url.port !== '' ? Number(url.port) : url.protocol === 'https:' ? 443 : 80)

/** An IPv6 address without its brackets, a name without the dot at its end. */
const hostOf = ({ hostname }: URL): string =>
  hostname.startsWith('[') ? hostname.slice(1, -1) : hostname.replace(/\.$/, '')

/** The address to connect to. All that the name has must be allowed: one that is not says what the name is for. */
async function vet({ rules, clock, resolve = resolveBySystem }: GuardedFetchOptions, url: URL): Promise<string> {
  const fault = findUrlFault(url, rules)
  if (fault !== undefined) throw new Problem('import_url_forbidden', { detail: fault })
  const host = hostOf(url)
  if (isIP(host) !== 0) return host
  const waiting = new AbortController()
  const addresses = await Promise.race([
    resolve(host).catch(() => undefined),
    clock.sleep(resolveTimeoutMs, waiting.signal).then(() => undefined),
  ])
  waiting.abort()
  const [first] = addresses ?? []
  if (addresses === undefined || first === undefined)
    throw new Problem('import_source_unavailable', { detail: 'The name of the host is not known.' })
  if (!addresses.every((address) => rules.allowsAddress(address)))
    throw new Problem('import_url_forbidden', { detail: 'It leads to an address that is not public.' })
  return first
}

interface VettedRequest {
  url: URL
  address: string
  headers: Readonly<Record<string, string>>
  signal: AbortSignal
}

function get({ rules, clock }: GuardedFetchOptions, vetted: VettedRequest): Promise<IncomingMessage> {
  const { url, address, headers, signal } = vetted
  const isTls = url.protocol === 'https:'
  const port = portOf(url)
  const host = hostOf(url)
  const answered = new AbortController()
  const connect = (): Socket => {
    const socket = isTls
      ? connectTls({ host: address, port, ...(isIP(host) === 0 && { servername: host }) })
      : connectTcp({ host: address, port })
    void clock.sleep(connectTimeoutMs, answered.signal).then(() => {
      if (socket.connecting) socket.destroy(new Error('The connection took too long'))
    })
    socket.once('connect', () => {
      // The system has connected to what it was told; this says so if it ever does not.
      if (!rules.allowsAddress(socket.remoteAddress ?? '')) socket.destroy(new Error('Another address answered'))
    })
    return socket
  }
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => {
      answered.abort()
      reject(new Problem('import_source_unavailable', { cause }))
    }
    const outgoing = (isTls ? requestHttps : requestHttp)({
      method: 'GET',
      host,
      port,
      path: url.pathname + url.search,
      headers: { ...headers, host: url.host, 'accept-encoding': 'identity', connection: 'close' },
      createConnection: connect,
      maxHeaderSize: headerSizeBytesMax,
      signal,
    })
    outgoing.once('response', (message) => {
      answered.abort()
      resolve(message)
    })
    outgoing.on('error', fail)
    void clock.sleep(answerTimeoutMs, answered.signal).then(() => {
      if (!answered.signal.aborted) outgoing.destroy(new Error('The answer took too long'))
    })
    outgoing.end()
  })
}

/** Only the time in which the source kept us waiting counts. */
async function* pacedBody(message: IncomingMessage, clock: Clock): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces = message[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let waitedMs = 0
  let windowBytes = 0
  try {
    for (;;) {
      const since = clock.monotonicMs()
      const waiting = new AbortController()
      const late = clock.sleep(bodyWindowMs, waiting.signal).then(() => 'late' as const)
      const step = await Promise.race([pieces.next(), late])
      waiting.abort()
      if (step === 'late') throw tooSlow()
      if (step.done === true) return
      waitedMs += clock.monotonicMs() - since
      windowBytes += step.value.length
      if (waitedMs >= bodyWindowMs) {
        if (windowBytes < (bodyBytesPerSecondMin * waitedMs) / 1_000) throw tooSlow()
        waitedMs = 0
        windowBytes = 0
      }
      yield step.value
    }
  } finally {
    message.destroy()
  }
}

const tooSlow = (): Problem =>
  new Problem('import_source_unavailable', {
    detail: `The source sent less than ${bodyBytesPerSecondMin} bytes per second.`,
  })
