// Hundreds of ways to ask a server to fetch from where it must not. A listener stands at the place that all of them want to
// reach, and must never see a connection.

import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../platform/clock.ts'
import { Problem } from '../../platform/problem.ts'
import { createAddressRules, type AddressRules } from './address-rules.ts'
import type { GuardOptions } from './guarded-connect.ts'
import { createGuardedFetch } from './guarded-fetch.ts'
import { checkUrlImport } from './url-origin.ts'

const strict = createAddressRules({ allowPrivate: false })
const open = createAddressRules({ allowPrivate: true })
/** Strict about addresses; any port, so that nothing is refused for its port alone. */
const anyPort: AddressRules = { ...strict, allowsPort: () => true }

async function listen(address = '127.0.0.1') {
  let connectionsCount = 0
  const server = createServer((socket) => {
    connectionsCount++
    socket.destroy()
  })
  server.listen(0, address)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, connectionsCount: () => connectionsCount }
}

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createHttpServer(handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port }
}

const never = new AbortController().signal

/** What becomes of a URL: refused when it is asked for, or when it is fetched. */
async function codeOf(url: string, options: Partial<GuardOptions> = {}): Promise<string> {
  const rules = options.rules ?? anyPort
  try {
    const checked = checkUrlImport({ url }, rules)
    const fetch = createGuardedFetch({ rules, clock: systemClock, ...options })
    const response = await fetch({
      url: checked.url,
      secretHeaders: checked.secret.headers,
      headers: {},
      signal: never,
    })
    response.dispose()
    return String(response.status)
  } catch (error) {
    return error instanceof Problem ? error.code : String(error)
  }
}

const v4 = (n: number): string => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255].join('.')
const number = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)

/** Every spelling of an IPv4 address that a URL may have. */
function spellings(address: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
  const n = number(address)
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')
  const mapped = `${hex(a * 256 + b, 4)}:${hex(c * 256 + d, 4)}`
  return [
    address,
    `${address}.`,
    String(n),
    `0x${hex(n, 8)}`,
    `0${n.toString(8)}`,
    [a, b, c, d].map((part) => `0${part.toString(8)}`).join('.'),
    [a, b, c, d].map((part) => `0x${hex(part, 2)}`).join('.'),
    `${a}.${b}.${c * 256 + d}`,
    `${a}.${b * 65_536 + c * 256 + d}`,
    `0x${hex(a, 2)}.${b}.0${c.toString(8)}.${d}`,
    Array.from(address, (digit) => (digit === '.' ? digit : String.fromCodePoint(0xff10 + Number(digit)))).join(''),
    address.replaceAll('.', '\u3002'),
    Array.from(address, (digit) => `%3${digit}`)
      .join('')
      .replaceAll('%3.', '.'),
    `[::ffff:${address}]`,
    `[::ffff:${mapped}]`,
    `[::${address}]`,
    `[64:ff9b::${address}]`,
    `[64:ff9b:1::${address}]`,
    `[2002:${mapped}::]`,
    `[2001:0:${mapped}::]`,
    `user:pass@${address}`,
    `example.com@${address}`,
  ]
}

const wanted = [
  '127.0.0.1', '127.1.2.3', '127.255.255.255', '0.0.0.0', '10.0.0.1', '172.16.5.4', '172.31.255.255', '192.168.1.1',
  '169.254.169.254', '100.100.100.200', '100.64.0.1', '192.0.0.192', '168.63.129.16', '198.18.0.1', '224.0.0.1',
  '255.255.255.255',
] // prettier-ignore
const literalV6 = [
  '[::1]', '[::]', '[0:0:0:0:0:0:0:1]', '[fe80::1]', '[febf::1]', '[fc00::1]', '[fd00:ec2::254]', '[fec0::1]', '[ff02::1]',
  '[ff0e::1]', '[2001:db8::1]', '[2001::1]', '[2001:10::1]', '[2002:7f00:1::]', '[3fff::1]', '[5f00::1]', '[100::1]',
  '[64:ff9b::7f00:1]', '[::ffff:0:127.0.0.1]', '[::7f00:1]', '[4000::1]',
] // prettier-ignore

describe('forbidden places are never connected to', () => {
  const literals = [...wanted.flatMap(spellings), ...literalV6]

  it(`by ${literals.length} literal addresses`, async () => {
    const listener = await listen()
    const resolve = async (): Promise<string[]> => ['127.0.0.1']
    const codes = new Map<string, string>()
    for (const host of literals) {
      const url = `http://${host}:${listener.port}/`
      // Some spellings are no URL at all; some are names, which then resolve to the listener.
      codes.set(url, URL.canParse(url) ? await codeOf(url, { resolve }) : 'import_url_forbidden')
    }
    expect(codes.size).toBeGreaterThanOrEqual(300)
    expect([...codes].filter(([, code]) => code !== 'import_url_forbidden')).toEqual([])
    expect(listener.connectionsCount()).toBe(0)
  })

  it('by names that lead there, even if only with one of their addresses, or the second time', async () => {
    const listener = await listen()
    const answers = [
      ...wanted.map((address) => [address]),
      ...wanted.map((address) => [`::ffff:${address}`]),
      ...literalV6.map((host) => [host.slice(1, -1)]),
      ['93.184.216.34', '127.0.0.1'],
      ['2606:2800:220:1::1', '::1'],
      ['127.0.0.1', '93.184.216.34'],
      ['fe80::1%lo'],
      ['not an address'],
    ]
    for (const addresses of answers) {
      const resolve = async (): Promise<string[]> => addresses
      const url = `http://rebind.example.com:${listener.port}/`
      expect([addresses, await codeOf(url, { resolve })]).toEqual([addresses, 'import_url_forbidden'])
    }
    expect(listener.connectionsCount()).toBe(0)
    for (const host of ['localhost', 'LOCALHOST', 'localhost.'])
      expect(await codeOf(`http://${host}:${listener.port}/`)).toBe('import_url_forbidden')
    expect(listener.connectionsCount()).toBe(0)
  })

  it('by a name that is looked up once: its second answer is never asked for', async () => {
    const listener = await listen()
    let lookupsCount = 0
    const resolve = async (): Promise<string[]> => (lookupsCount++ === 0 ? ['203.0.114.1'] : ['127.0.0.1'])
    const rules = { ...anyPort }
    const stop = new AbortController()
    const fetch = createGuardedFetch({ rules, clock: systemClock, resolve })
    const url = new URL(`http://rebind.example.com:${listener.port}/`)
    const going = fetch({ url, secretHeaders: {}, headers: {}, signal: stop.signal }).catch(String)
    setTimeout(() => stop.abort(), 100)
    await going
    expect(lookupsCount).toBe(1)
    expect(listener.connectionsCount()).toBe(0)
  })

  it('by redirects, whichever the status', async () => {
    const listener = await listen()
    let location = ''
    let status = 302
    const { port } = await serve((_, response) => response.writeHead(status, { location }).end())
    // Only the server that redirects may be reached, by its name.
    const rules: AddressRules = { allowsPort: () => true, allowsAddress: (address) => address === '127.0.0.1' }
    const picky = (next: string[]): Partial<GuardOptions> => ({
      rules: {
        ...rules,
        allowsAddress: (address) => address === '127.0.0.1' || strict.allowsAddress(address),
      },
      resolve: async (name) => (name === 'good.example.com' ? ['127.0.0.1'] : next),
    })
    const places = [
      ...spellings('169.254.169.254').map((host) => `http://${host}:${listener.port}/`),
      ...literalV6.map((host) => `http://${host}:${listener.port}/`),
      'http://evil.example.com/',
    ].filter((url) => URL.canParse(url) && /^[\x20-\x7e]+$/.test(url))
    for (const place of places) {
      location = place
      status = [301, 302, 303, 307, 308][places.indexOf(place) % 5]!
      const code = await codeOf(`http://good.example.com:${port}/`, picky(['10.0.0.1']))
      expect([place, code]).toEqual([place, 'import_url_forbidden'])
    }
    expect(listener.connectionsCount()).toBe(0)
  })

  it.each([
    'file:///etc/passwd', 'ftp://example.com/a', 'gopher://example.com/', 'data:text/plain,x', 'javascript:1', 'blob:x',
    'dict://example.com:11211/', 'ldap://example.com/', 'unix:/tmp/socket', 'ws://example.com/',
  ])('by the scheme of %s', async (url) => {
    expect(await codeOf(url)).toBe('import_url_forbidden')
  }) // prettier-ignore

  it.each([22, 25, 110, 1, 3306, 5432, 6379, 9200, 11211, 27017, 65535])('by port %d', async (port) => {
    const resolve = async (): Promise<string[]> => ['93.184.216.34']
    expect(await codeOf(`http://example.com:${port}/`, { rules: strict, resolve })).toBe('import_url_forbidden')
  })

  it('when the system connects to another address than it was told', async () => {
    const { port } = await serve((_, response) => response.end('secret'))
    // It looks right before, and wrong once connected.
    let asked = 0
    const rules: AddressRules = { allowsPort: () => true, allowsAddress: () => asked++ < 3 }
    expect(await codeOf(`http://127.0.0.1:${port}/`, { rules })).toBe('import_source_unavailable')
    expect(asked).toBe(4)
  })
})

describe('what is allowed', () => {
  it('is public unicast', () => {
    for (const address of ['93.184.216.34', '8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:2800:220:1::1', '2a00::1'])
      expect([address, strict.allowsAddress(address)]).toEqual([address, true])
    for (let i = 0; i < 2_000; i++) {
      const address = v4((i * 2_654_435_761) >>> 0)
      const [a = 0, b = 0] = address.split('.').map(Number)
      if (a === 10 || a === 127 || a === 0 || a >= 224 || (a === 192 && b === 168))
        expect([address, strict.allowsAddress(address)]).toEqual([address, false])
    }
  })

  it('is followed with its fields, but those that may be secret go to the first host only', async () => {
    const seen: IncomingMessage['headers'][] = []
    const second = await serve((request, response) => {
      seen.push(request.headers)
      response.end('content')
    })
    const first = await serve((request, response) => {
      seen.push(request.headers)
      response.writeHead(302, { location: `http://127.0.0.1:${second.port}/b` }).end()
    })
    const fetch = createGuardedFetch({ rules: open, clock: systemClock })
    const { url, secret } = checkUrlImport(
      { url: `http://ann:pw@127.0.0.1:${first.port}/a#x`, headers: { 'X-Token': 't' } },
      open,
    )
    expect(url.href).toBe(`http://127.0.0.1:${first.port}/a`)
    const response = await fetch({ url, secretHeaders: secret.headers, headers: { range: 'bytes=1-' }, signal: never })
    const pieces: Uint8Array[] = []
    for await (const piece of response.body) pieces.push(piece)
    expect(Buffer.concat(pieces).toString()).toBe('content')
    expect(seen[0]).toMatchObject({ authorization: 'Basic YW5uOnB3', 'x-token': 't', range: 'bytes=1-' })
    expect(seen[1]).toMatchObject({ range: 'bytes=1-', 'accept-encoding': 'identity' })
    expect(seen[1]).not.toHaveProperty('authorization')
    expect(seen[1]).not.toHaveProperty('x-token')
  })

  it('does not redirect for ever', async () => {
    const { port } = await serve((_, response) => response.writeHead(302, { location: '/again' }).end())
    expect(await codeOf(`http://127.0.0.1:${port}/`, { rules: open })).toBe('import_refused')
  })

  it('must answer, and go on sending', async () => {
    let nowMs = 0
    const clock = {
      ...systemClock,
      monotonicMs: () => nowMs,
      sleep: async (_: number, signal?: AbortSignal) => systemClock.sleep(50, signal),
    }
    const silent = await serve(() => {})
    expect(await codeOf(`http://127.0.0.1:${silent.port}/`, { rules: open, clock })).toBe('import_source_unavailable')
    const trickle = await serve((_, response) => {
      response.write('x')
      const timer = setInterval(() => {
        nowMs += 1_000
        response.write('x')
      }, 1)
      response.once('close', () => clearInterval(timer))
    })
    const fetch = createGuardedFetch({ rules: open, clock })
    const url = new URL(`http://127.0.0.1:${trickle.port}/`)
    const { body } = await fetch({ url, secretHeaders: {}, headers: {}, signal: never })
    const reading = (async () => {
      for await (const _ of body);
    })()
    await expect(reading).rejects.toMatchObject({ code: 'import_source_unavailable' })
  })

  it.each(['http://%zz@example.com/', 'http://a:%e4@example.com/'])('does not include the user of %s', (url) => {
    expect(() => checkUrlImport({ url }, strict)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })

  it.each<[string, string]>([
    ['Host', 'a'],
    ['Transfer-Encoding', 'chunked'],
    ['Content-Length', '1'],
    ['Range', 'bytes=0-'],
    ['Proxy-Authorization', 'a'],
    ['Bad Name', 'a'],
    ['X-Split', 'a\r\nX-Other: b'],
  ])('does not include the header %s: %j', (name, value) => {
    expect(() => checkUrlImport({ url: 'http://example.com/', headers: { [name]: value } }, strict)).toThrow(
      expect.objectContaining({ code: 'invalid_request' }),
    )
  })
})
