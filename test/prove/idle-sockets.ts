// Thousands of connections that do nothing, or next to nothing: headers that come a byte at a time, bodies that do, and
// lines that stay open after their answer. Beside them the product answers a status query and takes an upload as before,
// and in the end it has let go of all of them by itself. Times are told, not judged: they are the machine's.

import { readFile } from 'node:fs/promises'
import net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { openHouse, type House, type HouseOptions } from '../e2e/house.ts'
import { runFile, upload } from '../e2e/jobs.ts'

export interface IdleSocketsReport {
  sockets: number
  open: Record<SocketKind, number>
  without: Timings
  beside: Timings
  /** Of all processes of the product together. */
  memory: { withoutMb: number; besideMb: number; kilobytesPerSocket: number }
  /** How many of them the product has ended, and after how long the last. */
  ended: { sockets: number; seconds: number }
  faults: string[]
}

interface Timings {
  statusMs: { p50: number; p99: number }
  uploadMs: { p50: number; p99: number }
}

const socketKinds = ['slow headers', 'slow body', 'silent'] as const
type SocketKind = (typeof socketKinds)[number]

const statusCallsCount = 300
const uploadsCount = 60
const uploadBytes = 100_000
const trickleMs = 4_000
const connectsAtOnce = 100
/** Slow bodies begin below the rate that one key may have. */
const bodiesPerSecondMax = 150
/** The longest that the product bears any of them is 75 s. */
const endDeadlineMs = 120_000

export async function proveIdleSockets(options: {
  count: number
  house: HouseOptions
  tell: (line: string) => void
}): Promise<IdleSocketsReport> {
  const { count, tell } = options
  const house = await openHouse(options.house)
  const sockets: TricklingSocket[] = []
  try {
    const faults: string[] = []
    const { job_id: jobId } = await runFile(house.client, { name: 'a.txt', bytes: Buffer.from('A text.\n') })
    await measure(house, jobId) // Everything is warm after this.
    const without = await measure(house, jobId)
    const withoutMb = await memoryOf(house)
    tell(`without: ${JSON.stringify(without)}, ${withoutMb} MB`)

    const openedAt = performance.now()
    sockets.push(...(await openSockets(house, count)))
    const trickling = setInterval(() => sockets.forEach((socket) => socket.trickle()), trickleMs)
    try {
      const open = Object.fromEntries(
        socketKinds.map((kind) => [kind, sockets.filter((one) => one.kind === kind && !one.ended()).length]),
      ) as Record<SocketKind, number> // One entry for each kind.
      const besideMb = await memoryOf(house)
      tell(`${JSON.stringify(open)} open after ${Math.round((performance.now() - openedAt) / 1_000)} s, ${besideMb} MB`)
      const openCount = Object.values(open).reduce((sum, one) => sum + one, 0)
      if (openCount < count * 0.6) faults.push(`only ${openCount} of ${count} sockets were open at once`)
      const beside = await measure(house, jobId)
      tell(`beside: ${JSON.stringify(beside)}`)

      const giveUpAt = performance.now() + endDeadlineMs
      while (sockets.some((socket) => !socket.ended()) && performance.now() < giveUpAt) await delay(500)
      const endedCount = sockets.filter((socket) => socket.ended()).length
      if (endedCount < count) faults.push(`${count - endedCount} sockets were not ended`)
      const kilobytesPerSocket = Math.round(((besideMb - withoutMb) * 1024 * 10) / Math.max(openCount, 1)) / 10
      return {
        sockets: count,
        open,
        without,
        beside,
        memory: { withoutMb, besideMb, kilobytesPerSocket },
        ended: { sockets: endedCount, seconds: Math.round((performance.now() - openedAt) / 1_000) },
        faults,
      }
    } finally {
      clearInterval(trickling)
    }
  } finally {
    for (const socket of sockets) socket.destroy()
    await house.close()
  }
}

interface TricklingSocket {
  readonly kind: SocketKind
  trickle(): void
  /** By the other side. */
  ended(): boolean
  destroy(): void
}

/** A third of each kind; a body's begin is spread out, because it is a request like any other. */
async function openSockets(house: House, count: number): Promise<TricklingSocket[]> {
  const url = new URL(house.url)
  const heads: Record<SocketKind, string> = {
    'slow headers': 'GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ',
    'slow body': [
      'POST /api/v1/files HTTP/1.1',
      'Host: x',
      `Authorization: Bearer ${house.credentials.api_key}`,
      'Content-Type: multipart/form-data; boundary=slow',
      'Content-Length: 100000',
      '',
      '--slow\r\nContent-Disposition: form-data; name="file"; filename="slow.bin"\r\n\r\n',
    ].join('\r\n'),
    silent: 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n',
  }
  const sockets: TricklingSocket[] = []
  // Silent ones first: they are borne the longest.
  const plan = socketKinds.toReversed().flatMap((kind, index) => {
    const kindCount = Math.floor((count + index) / socketKinds.length)
    return Array.from({ length: kindCount }, () => kind)
  })
  let bodiesCount = 0
  const startedAt = performance.now()
  for (let at = 0; at < plan.length; at += connectsAtOnce) {
    const batch = plan.slice(at, at + connectsAtOnce)
    sockets.push(...(await Promise.all(batch.map((kind) => openSocket(url, kind, heads[kind])))))
    bodiesCount += batch.filter((kind) => kind === 'slow body').length
    const dueMs = (bodiesCount / bodiesPerSecondMax) * 1_000
    if (batch.includes('slow body')) await delay(Math.max(0, dueMs - (performance.now() - startedAt)))
  }
  return sockets
}

async function openSocket(url: URL, kind: SocketKind, head: string): Promise<TricklingSocket> {
  const socket = net.connect(Number(url.port), url.hostname)
  let ended = false
  socket.on('error', () => (ended = true)).on('close', () => (ended = true))
  socket.on('end', () => (ended = true)).resume()
  await new Promise<void>((resolve) => socket.once('connect', resolve).once('close', () => resolve()))
  socket.write(head)
  return {
    kind,
    trickle: () => void (kind !== 'silent' && !ended && socket.write('x')),
    ended: () => ended,
    destroy: () => socket.destroy(),
  }
}

async function measure(house: House, jobId: string): Promise<Timings> {
  const statusMs: number[] = []
  for (let call = 0; call < statusCallsCount; call++)
    statusMs.push(await timed(() => house.client.call('getJob', { params: { job_id: jobId } })))
  const bytes = Buffer.alloc(uploadBytes, 'an upload of the usual size. ')
  const uploadMs: number[] = []
  for (let call = 0; call < uploadsCount; call++)
    uploadMs.push(await timed(() => upload(house.client, { name: `usual-${call}.txt`, bytes })))
  return { statusMs: quantiles(statusMs), uploadMs: quantiles(uploadMs) }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

function quantiles(values: number[]): { p50: number; p99: number } {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 10) / 10
  return { p50: at(0.5), p99: at(0.99) }
}

async function memoryOf(house: House): Promise<number> {
  let kilobytes = 0
  for (const { pid } of house.children().values()) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '') // Linux only.
    kilobytes += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0)
  }
  return Math.round(kilobytes / 1024)
}
