// A GET to wherever somebody's URL leads, without being led astray: it goes through guarded connections only, and each
// redirect is looked at anew.

import { request as requestHttp, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type Socket } from 'node:net'
import type { Clock } from '../../platform/clock.ts'
import { Problem } from '../../platform/problem.ts'
import type { AddressRules } from './address-rules.ts'
import { connectGuarded, findAddress, hostOf, type GuardOptions } from './guarded-connect.ts'

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
const answerTimeoutMs = 30_000
/** A source is held to the pace of an uploading client, over windows that bear the pauses of a busy one. */
const bodyWindowMs = 30_000
const bodyBytesPerSecondMin = 4_096
const headerSizeBytesMax = 32 * 1024

export function createGuardedFetch(options: GuardOptions): GuardedFetch {
  return async (request) => {
    let { url } = request
    let secretHeaders = request.secretHeaders
    for (let redirectsCount = 0; redirectsCount <= redirectsCountMax; redirectsCount++) {
      const fault = findUrlFault(url, options.rules)
      if (fault !== undefined) throw new Problem('import_url_forbidden', { detail: fault })
      const address = await findAddress(options, hostOf(url.hostname))
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
  const host = hostOf(url.hostname)
  if (isIP(host) !== 0 && !rules.allowsAddress(host)) return 'It leads to an address that is not public.'
  return undefined
}

const portOf = (url: URL): number => (url.port !== '' ? Number(url.port) : url.protocol === 'https:' ? 443 : 80)

interface VettedRequest {
  url: URL
  address: string
  headers: Readonly<Record<string, string>>
  signal: AbortSignal
}

function get(options: GuardOptions, vetted: VettedRequest): Promise<IncomingMessage> {
  const { clock } = options
  const { url, address, headers, signal } = vetted
  const isTls = url.protocol === 'https:'
  const port = portOf(url)
  const host = hostOf(url.hostname)
  const answered = new AbortController()
  const connect = (): Socket =>
    connectGuarded(options, { address, port, ...(isTls && { servername: isIP(host) === 0 ? host : '' }) })
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
export async function* pacedBody(message: IncomingMessage, clock: Clock): AsyncGenerator<Uint8Array, void, undefined> {
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
