import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openFaultProxy, type FaultProxy } from './fault-proxy.ts'

let echo: Server
let proxy: FaultProxy
const sockets: Socket[] = []

beforeEach(async () => {
  echo = createServer((socket) => socket.on('error', () => {}).pipe(socket))
  proxy = await openFaultProxy(await listen(echo))
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await proxy.close()
  echo.close()
})

const listen = (server: Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)))

/** A client that keeps what it hears, and how its connection ended. */
function dial(): { say: (text: string) => void; heard: () => string; end: () => string | undefined } {
  let heard = ''
  let end: string | undefined
  const socket = connect(proxy.port, '127.0.0.1')
  sockets.push(socket)
  socket
    .on('data', (piece) => (heard += piece.toString()))
    .on('error', (error) => (end = 'code' in error ? String(error.code) : error.message))
    .on('close', () => (end ??= 'closed'))
  return { say: (text) => void socket.write(text), heard: () => heard, end: () => end }
}

test('passes what is said in both directions', async () => {
  const client = dial()
  client.say('hello')
  await expect.poll(client.heard).toBe('hello')
})

test('resets connections that are open, and new ones, until it is set right', async () => {
  const before = dial()
  before.say('one')
  await expect.poll(before.heard).toBe('one')
  proxy.set({ kind: 'reset' })
  await expect.poll(before.end).toBe('ECONNRESET')
  await expect.poll(dial().end).toBe('ECONNRESET')
  proxy.set(undefined)
  const after = dial()
  after.say('two')
  await expect.poll(after.heard).toBe('two')
})

test.each(['up', 'down', undefined] as const)(
  'holds back while it hangs (%s), and passes it on later',
  async (direction) => {
    const client = dial()
    client.say('one ')
    await expect.poll(client.heard).toBe('one ')
    proxy.set({ kind: 'hang', ...(direction && { direction }) })
    client.say('two ')
    const other = dial()
    other.say('nothing')
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect([client.heard(), other.heard(), client.end()]).toEqual(['one ', '', undefined])
    proxy.set(undefined)
    await expect.poll(client.heard).toBe('one two ')
    await expect.poll(other.heard).toBe('nothing')
  },
)

test('forgets connections without a word, and lets new ones pass', async () => {
  const client = dial()
  client.say('one')
  await expect.poll(client.heard).toBe('one')
  proxy.forget()
  client.say('two')
  const other = dial()
  other.say('hello')
  await expect.poll(other.heard).toBe('hello')
  expect([client.heard(), client.end()]).toEqual(['one', undefined])
})

test('cuts an answer after some bytes', async () => {
  proxy.set({ kind: 'cut', afterBytes: 1_000 })
  const client = dial()
  client.say('x'.repeat(10_000))
  await expect.poll(client.end).toBe('closed')
  expect(client.heard().length).toBeLessThan(10_000)
})

test('answers in the place of the server', async () => {
  proxy.set({ kind: 'answer', bytes: 'HTTP/1.1 503 Slow Down\r\n\r\n' })
  const client = dial()
  client.say('GET / HTTP/1.1\r\n\r\n')
  await expect.poll(client.end).toBe('closed')
  expect(client.heard()).toBe('HTTP/1.1 503 Slow Down\r\n\r\n')
})

test('moves to another server', async () => {
  const other = createServer((socket) => socket.on('error', () => {}).end('other'))
  const client = dial()
  client.say('one')
  await expect.poll(client.heard).toBe('one')
  proxy.moveTo(await listen(other))
  await expect.poll(client.end).toBe('ECONNRESET')
  await expect.poll(dial().heard).toBe('other')
  other.close()
})
