// What only real connections show: streams of events, bodies that come slowly or not at all, and the way out.
// Loopback only, on free ports.

import { createHash, randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createRateLimiter } from '../auth/rate-limit.ts'
import { systemClock, type Clock } from '../platform/clock.ts'
import { systemIds } from '../platform/ids.ts'
import { silentLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import { paceWindowMs } from './body-pace.ts'
import { createGateway, type Gateway, type GatewayOptions } from './gateway.ts'

const admin = { kind: 'user', tenantId: 1, role: 'admin', operator: true, actor: 'user_1' } as unknown as Principal

async function start(options: Partial<GatewayOptions> = {}): Promise<Gateway> {
  const gateway = createGateway({
    routes: {},
    authenticator: {
      authenticate: async ({ authorization }) => {
        if (authorization === undefined) throw new Problem('unauthenticated')
        return admin
      },
    },
    limiter: createRateLimiter({ clock: systemClock }),
    clock: systemClock,
    ids: systemIds,
    log: silentLog,
    metrics: createMetrics({ processFigures: false }),
    readiness: {},
    host: '127.0.0.1',
    port: 0,
    ...options,
  })
  await gateway.start(new AbortController().signal)
  onTestFinished(() => gateway.stop(500))
  return gateway
}

const headers = { authorization: 'Bearer x' }

/** A source of events that the test pushes into, and that tells when it was given up. */
function createSource() {
  const queue: { id: string; data: unknown }[] = []
  let wake = (): void => {}
  const source = { ended: false, push: (event: { id: string; data: unknown }) => (queue.push(event), wake()) }
  const next = async (): Promise<IteratorResult<{ id: string; data: unknown }>> => {
    for (;;) {
      const value = queue.shift()
      if (value) return { done: false, value }
      if (source.ended) return { done: true, value: undefined }
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  const end = async (): Promise<IteratorResult<never>> => {
    source.ended = true
    wake()
    return { done: true, value: undefined }
  }
  return Object.assign(source, { events: { [Symbol.asyncIterator]: () => ({ next, return: end }) } })
}

async function readUntil(body: AsyncIterator<Uint8Array>, text: string): Promise<string> {
  let seen = ''
  while (!seen.includes(text)) {
    const { value, done } = await body.next()
    if (done === true) throw new Error(`the stream ended after ${JSON.stringify(seen)}`)
    seen += Buffer.from(value).toString()
  }
  return seen
}

/** A clock whose sleepers of this length wait for the test. */
function createHeldClock(heldMs: number) {
  const held: (() => void)[] = []
  const clock: Clock = {
    ...systemClock,
    sleep: (ms, signal) =>
      ms === heldMs
        ? new Promise((resolve) => {
            held.push(resolve)
            signal?.addEventListener('abort', () => resolve())
          })
        : systemClock.sleep(ms, signal),
  }
  return { clock, release: () => held.splice(0).forEach((resolve) => resolve()) }
}

describe('a stream of events', () => {
  it('is framed, resumable, kept warm, and given up when the client goes', async () => {
    const source = createSource()
    const { clock, release } = createHeldClock(500)
    const gateway = await start({
      clock,
      routes: { tenantEvents: async () => ({ kind: 'events', events: source.events }) },
    })
    const controller = new AbortController()
    const response = await fetch(`${gateway.url()}/api/v1/events`, { headers, signal: controller.signal })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(response.headers.get('x-request-id')).toMatch(/^req_/)
    const body = response.body![Symbol.asyncIterator]()
    expect(await readUntil(body, '\n\n')).toBe('retry: 1000\n\n')
    source.push({ id: '4-1', data: undefined })
    source.push({ id: '5-1', data: { type: 'job.ended', text: 'a\nb' } })
    expect(await readUntil(body, '}\n\n')).toBe('id: 4-1\n\nid: 5-1\ndata: {"type":"job.ended","text":"a\\nb"}\n\n')
    const heartbeat = readUntil(body, ':\n\n')
    const beats = setInterval(release, 1)
    onTestFinished(() => clearInterval(beats))
    expect(await heartbeat).toBe(':\n\n')
    controller.abort()
    await expect.poll(() => source.ended).toBe(true)
    const { body: metrics } = await gateway.app.inject('/metrics')
    expect(metrics).toContain('millrace_http_event_watchers 0')
  })

  it('ends soon after the credentials that opened it do, and outlives a database that is away for a moment', async () => {
    const sources = [createSource(), createSource()]
    const [first, second] = sources
    const { clock, release } = createHeldClock(500)
    let failure: Problem | undefined
    const gateway = await start({
      clock,
      routes: { tenantEvents: async () => ({ kind: 'events', events: sources.shift()!.events }) },
      authenticator: {
        authenticate: async ({ authorization }) => {
          if (failure && authorization === 'Bearer x') throw failure
          return admin
        },
      },
    })
    const ending = await fetch(`${gateway.url()}/api/v1/events`, { headers })
    const lasting = await fetch(`${gateway.url()}/api/v1/events`, { headers: { authorization: 'Bearer y' } })
    const body = ending.body![Symbol.asyncIterator]()
    await readUntil(body, 'retry')
    const beats = setInterval(release, 1)
    onTestFinished(() => clearInterval(beats))
    failure = new Problem('database_unavailable')
    await readUntil(body, ':\n\n')
    await readUntil(body, ':\n\n')
    expect(first?.ended).toBe(false)
    failure = new Problem('token_expired')
    await expect.poll(() => first?.ended).toBe(true)
    expect([second?.ended, lasting.status]).toEqual([false, 200])
  })

  it('gives up its source when the client has gone before it began', async () => {
    const source = createSource()
    let begin = (): void => {}
    const begun = new Promise<void>((resolve) => (begin = resolve))
    let gone = Promise.resolve()
    const gateway = await start({
      routes: {
        tenantEvents: async (_, { signal }) => {
          gone = once(signal, 'abort').then(() => {})
          begin()
          await gone
          return { kind: 'events', events: source.events }
        },
      },
    })
    const controller = new AbortController()
    const request = fetch(`${gateway.url()}/api/v1/events`, { headers, signal: controller.signal }).catch(() => 'gone')
    await begun
    controller.abort()
    expect(await request).toBe('gone')
    await expect.poll(() => source.ended).toBe(true)
  })

  it('drops a reader that does not read, and lets others be', async () => {
    const slowSource = createSource()
    const source = createSource()
    const sources = [slowSource, source]
    const gateway = await start({
      routes: { tenantEvents: async () => ({ kind: 'events', events: sources.shift()!.events }) },
    })
    const slow = await open(gateway, 'GET /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\n\r\n')
    slow.pause()
    await expect.poll(() => sources.length).toBe(1)
    const reader = await fetch(`${gateway.url()}/api/v1/events`, { headers })
    const text = 'x'.repeat(64 * 1024)
    for (let n = 0; !slowSource.ended && n < 10_000; n++) {
      slowSource.push({ id: `${n}`, data: text })
      await pause(0)
    }
    expect(slowSource.ended).toBe(true)
    source.push({ id: 'a', data: 'still here' })
    expect(await readUntil(reader.body![Symbol.asyncIterator](), 'still here')).toContain('id: a')
  })

  it('is refused when too many are open, and taken again when one has gone', async () => {
    const source = createSource()
    const gateway = await start({
      watchersMax: 1,
      routes: { tenantEvents: async () => ({ kind: 'events', events: source.events }) },
    })
    const controller = new AbortController()
    await fetch(`${gateway.url()}/api/v1/events`, { headers, signal: controller.signal })
    const refused = await fetch(`${gateway.url()}/api/v1/events`, { headers })
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    controller.abort()
    await expect
      .poll(async () => (await fetch(`${gateway.url()}/api/v1/events`, { headers, method: 'HEAD' })).status)
      .toBe(200)
  })
})

async function open(gateway: Gateway, text: string): Promise<Socket> {
  const { hostname, port } = new URL(gateway.url())
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {}) // Being cut off is what several of these tests are about.
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

async function readAll(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

const form = 'POST /api/v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n'

describe('a body', () => {
  it('reaches the handler of an upload as it comes, untouched', async () => {
    const gateway = await start({
      routes: {
        uploadFile: async (_, { body }) => {
          let sizeBytes = 0
          for await (const chunk of body) sizeBytes += (chunk as Buffer).length
          return { kind: 'stream', status: 200, headers: {}, body: Readable.from([`${sizeBytes}`]) }
        },
      },
    })
    const body = Buffer.alloc(5_000_000, 'x')
    const response = await fetch(`${gateway.url()}/api/v1/files`, {
      method: 'POST',
      body,
      headers: { ...headers, 'content-type': 'multipart/form-data; boundary=b' },
    })
    expect(await response.text()).toBe('5000000')
  })

  it('that is refused early does not keep the client from reading why, and its connection is let go', async () => {
    const gateway = await start({ routes: { uploadFile: () => Promise.reject(new Error('must not be called')) } })
    const socket = await open(gateway, `${form}content-length: 1000000000\r\n\r\nsome`)
    const text = await readAll(socket)
    expect(text).toMatch(/^HTTP\/1\.1 401 /)
    expect(text).toContain('"code":"unauthenticated"')
  })

  it('that is refused while the client still writes it can be written to its end, and the next request goes on', async () => {
    const gateway = await start({ routes: { uploadFile: () => Promise.reject(new Error('must not be called')) } })
    const socket = await open(gateway, `${form}content-length: 4\r\n\r\n`)
    const text = readAll(socket)
    await pause(100) // The refusal is there; a closed connection would break what is written now.
    socket.write('body')
    await pause(50)
    socket.write('GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    expect((await text).match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 401', 'HTTP/1.1 404'])
  })

  it('that trickles is cut off; one that keeps the pace, or waits for us, is not', async () => {
    const { clock, release } = createHeldClock(paceWindowMs)
    const outcomes: string[] = []
    let letRead = (): void => {}
    const mayRead = new Promise<void>((resolve) => (letRead = resolve))
    const gateway = await start({
      clock,
      routes: {
        uploadFile: async (_, { body, headers: { 'x-name': name } }) => {
          try {
            if (name === 'unread') await mayRead
            for await (const chunk of body) void chunk
            outcomes.push(`${String(name)} whole`)
          } catch (error) {
            outcomes.push(`${String(name)} ${error instanceof Problem ? error.code : 'cut'}`)
            throw error
          }
          return { kind: 'stream', status: 204, headers: {}, body: undefined }
        },
      },
    })
    const head = (name: string) => `${form}authorization: Bearer x\r\nx-name: ${name}\r\ncontent-length: 300000\r\n\r\n`
    const trickling = await open(gateway, `${head('trickle')}a`)
    const steady = await open(gateway, head('steady'))
    const unread = await open(gateway, head('unread'))
    await pause(50)
    for (let window = 0; window < 3; window++) {
      if (window > 0) steady.write('x'.repeat(100_000))
      if (window === 0) unread.write('x'.repeat(200_000))
      if (!trickling.destroyed) trickling.write('a')
      await pause(30)
      release()
      await pause(10)
    }
    expect(outcomes).toEqual(['trickle upload_incomplete'])
    steady.write('x'.repeat(100_000))
    unread.write('x'.repeat(100_000))
    letRead()
    await expect.poll(() => outcomes.toSorted()).toEqual(['steady whole', 'trickle upload_incomplete', 'unread whole'])
  })

  it('that ends early ends its handler’s reading, and nothing else', async () => {
    let outcome = 'none'
    const gateway = await start({
      routes: {
        uploadFile: async (_, { body, signal }) => {
          try {
            for await (const chunk of body) void chunk
            outcome = 'whole'
          } catch {
            outcome = signal.aborted ? 'aborted' : 'cut'
          }
          throw new Problem('upload_incomplete')
        },
      },
    })
    const socket = await open(gateway, `${form}authorization: Bearer x\r\ncontent-length: 100\r\n\r\npart`)
    await pause(30)
    socket.destroy()
    await expect.poll(() => outcome).toMatch(/aborted|cut/)
    expect((await fetch(`${gateway.url()}/healthz`)).status).toBe(200)
  })
})

describe('what is not HTTP', () => {
  it.each([
    ['nonsense', 'hello\r\n\r\n'],
    ['two lengths', 'POST /api/v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
    [
      'length and chunks',
      'POST /api/v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['headers without end', `GET / HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(20_000)}\r\n\r\n`],
    ['a header with a control character', 'GET / HTTP/1.1\r\nhost: x\r\na: \u0000\r\n\r\n'],
  ])('is answered with a problem and let go: %s', async (_, text) => {
    const gateway = await start()
    const answer = await readAll(await open(gateway, text))
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(answer).toContain('application/problem+json')
    expect((await fetch(`${gateway.url()}/healthz`)).status).toBe(200)
  })
})

describe('an answer of bytes', () => {
  it('comes whole to a client that reads slowly, and gives the memory of each piece back once it is sent', async () => {
    const pieces = Array.from({ length: 24 }, () => {
      const piece = Buffer.allocUnsafeSlow(300_000)
      return randomFillSync(piece)
    })
    const expected = createHash('sha256').update(Buffer.concat(pieces)).digest('hex')
    const gateway = await start({
      routes: {
        getFileContent: async () => ({ kind: 'stream', status: 200, headers: {}, body: Readable.from(pieces) }),
      },
    })
    const answer = await fetch(`${gateway.url()}/api/v1/files/file_1/content`, { headers })
    const hash = createHash('sha256')
    for await (const piece of answer.body ?? []) {
      hash.update(piece)
      await pause(1)
    }
    expect(hash.digest('hex')).toBe(expected)
    await expect.poll(() => pieces.every(({ length }) => length === 0)).toBe(true)
  })
})

describe('the way out', () => {
  it('finishes what is under way, ends streams, refuses the rest, and is over before the deadline', async () => {
    const source = createSource()
    let finish = (): void => {}
    const finished = new Promise<void>((resolve) => (finish = resolve))
    let entered = false
    const gateway = await start({
      routes: {
        tenantEvents: async () => ({ kind: 'events', events: source.events }),
        getAdminMetrics: async () => {
          entered = true
          await finished
          throw new Problem('not_found')
        },
      },
    })
    const stream = await fetch(`${gateway.url()}/api/v1/events`, { headers })
    const slow = fetch(`${gateway.url()}/api/v1/admin/metrics`, { headers })
    await expect.poll(() => entered).toBe(true)
    const stopped = gateway.stop(5_000)
    expect(await stream.text()).toContain('retry')
    await expect.poll(() => source.ended).toBe(true)
    finish()
    expect((await slow).status).toBe(404)
    await stopped
    await gateway.stop(10)
    expect(() => gateway.url()).toThrow('does not listen')
  })

  it('cuts what does not end by itself', async () => {
    let entered = false
    const gateway = await start({
      routes: { getAdminMetrics: async () => ((entered = true), new Promise<never>(() => {})) },
    })
    const hanging = fetch(`${gateway.url()}/api/v1/admin/metrics`, { headers }).then(
      () => 'answered',
      () => 'cut',
    )
    await expect.poll(() => entered).toBe(true)
    await gateway.stop(50)
    expect(await hanging).toBe('cut')
  })

  it('bears being taken before the start', async () => {
    const gateway = createGateway({
      routes: {},
      authenticator: { authenticate: async () => admin },
      limiter: createRateLimiter({ clock: systemClock }),
      clock: systemClock,
      ids: systemIds,
      log: silentLog,
      metrics: createMetrics({ processFigures: false }),
      readiness: {},
      host: '127.0.0.1',
      port: 0,
    })
    await gateway.stop(10)
    await gateway.stop(10)
  })
})
