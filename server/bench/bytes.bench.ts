// P9: what the platform adds to bytes on their way in and out. The peer that the goal names is a bare node:http server
// that hashes to SHA-256 and writes a file; a second one also encrypts, which the platform always does, beside reading a
// form, keeping a quota and sealing a file and a job in transactions (of PostgreSQL where it is here, else of PGlite, whose
// time is then the server's own). Figures are the server's own CPU time, because a client on the same machine takes part of the wall's.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { open, rm } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import type { Benchmark, Row } from './benchmark.ts'
import type { Order, Report, SideName } from './bytes/server.ts'
import { createServersCpu } from './engine/servers-cpu.ts'

/** MILLRACE_BENCH_MB and MILLRACE_BENCH_SMALL_FILES make it smaller for a look. */
const largeBytes = Number(process.env['MILLRACE_BENCH_MB'] ?? 1_024) * 1024 ** 2
/** One transfer of 1 GB tells as much about the machine's last two seconds as about the code. */
const largeTurnsCount = 7
/** More than one part of an object. */
const warmUpBytes = 2 * 64 * 1024 ** 2
const smallFilesCount = Number(process.env['MILLRACE_BENCH_SMALL_FILES'] ?? 3_000)
const smallBytes = 100_000
/** What is ready together is sealed together, so that a file costs less among many. */
const fewAtOnce = 8
const manyAtOnce = 64
/** Until what is compiled while it runs has been compiled, on each side. */
const smallFilesBefore = 4_000
const smallRoundsCount = 20
const pieceBytes = 256 * 1024
const downloadBufferBytes = 1024 * 1024
/** As a browser makes one: a long one is found faster. */
const boundary = '----WebKitFormBoundary7MA4YWxkTrZu0gWm'

export const benchmark: Benchmark = {
  name: 'bytes',
  summary:
    '1 GB and 100 KB files in (hash, encrypt, store, seal; by form and by tus) and out, against bare node:http with SHA-256 to disk, with and without AES-256-GCM',
  uses: ['postgres15'],
  async run() {
    const sides: Side[] = []
    try {
      for (const side of ['bare', 'sealing', 'platform'] as const) sides.push(await openSide(side))
      return await measure(sides)
    } finally {
      for (const side of sides) await side.close()
    }
  },
}

async function measure(sides: readonly Side[]) {
  const large = await measureLargeFiles(sides)
  for (const { target } of sides) await uploadSmall(target, Math.min(smallFilesBefore, smallFilesCount), fewAtOnce)
  const few = await measureSmallFiles(sides, fewAtOnce)
  const many = await measureSmallFiles(sides, manyAtOnce)
  const [bare, sealing, ours] = sides.map((_, index) => ({
    ...large[index]!,
    upload_100kb: few[index]!,
    upload_100kb_of_64: many[index]!,
  }))
  if (!bare || !sealing || !ours) throw new Error('a side is missing')
  const rows: Row[] = (['upload_1gb', 'download_1gb', 'upload_100kb', 'upload_100kb_of_64'] as const).flatMap(
    (what) => [
      { what, side: 'node:http + SHA-256', ...bare[what] },
      { what, side: 'node:http + SHA-256 + AES', ...sealing[what] },
      {
        what,
        side: 'millrace',
        ...ours[what],
        of_bare: share(ours[what], bare[what]),
        of_sealing: share(ours[what], sealing[what]),
        ...shareWithDatabase(ours[what], sealing[what]),
      },
    ],
  )
  const { tus_1gb, vault_write, vault_read, crypto } = ours
  if (tus_1gb !== undefined)
    rows.push({ what: 'tus_1gb', side: 'millrace', ...tus_1gb, of_form: share(tus_1gb, ours.upload_1gb) })
  for (const [what, figures] of Object.entries({ vault_write, vault_read, crypto }))
    if (figures !== undefined) rows.push({ what, side: 'without HTTP', ...figures })
  return {
    rows,
    notes: [
      'mb_per_cpu_s, files_per_cpu_s: per second of the server’s CPU, its threads and the kernel’s work for it included; extra_mb: most memory above idle.',
      `Of 1 GB: ${largeTurnsCount} times each, the sides in turns; the middle ones of these, and the best ones, which are nearest to what a core does when no neighbour has a part of it.`,
      'upload_100kb: eight at once; upload_100kb_of_64: 64. The sides take turns; each renames what it has forced to the disk, and forces the folder.',
      'Small files: two equal servers differ by up to a fifth, by where their folders lie on the disk and what was deleted there in the last minutes; only several runs tell.',
      'database_ms: processor time of PostgreSQL for each file, which is in of_sealing_with_database and in no other figure.',
      'crypto: SHA-256 and AES-256-GCM in chunks of 16 KiB by node:crypto and nothing else, beside vault_write, which is in upload_1gb.',
    ],
  }
}

interface Figures extends Row {
  mb_per_cpu_s: number
  mb_per_s: number
  extra_mb: number
}

const share = (ours: Figures, peer: Figures): number => round(ours.mb_per_cpu_s / peer.mb_per_cpu_s, 2)

/** The same for small files, with what PostgreSQL did for them on our side. */
function shareWithDatabase(ours: Figures, peer: Figures) {
  const databaseMs = ours['database_ms']
  if (typeof databaseMs !== 'number') return {}
  const cpuMs = ({ mb_per_cpu_s }: Figures): number => (smallBytes * 1_000) / (mb_per_cpu_s * 1e6)
  return { of_sealing_with_database: round(cpuMs(peer) / (cpuMs(ours) + databaseMs), 2) }
}

async function openSide(side: SideName) {
  const child = fork(new URL('bytes/server.ts', import.meta.url), [side], {
    execArgv: [...process.execArgv, '--expose-gc'],
  })
  const exited = once(child, 'exit')
  const next = async <Kind extends Report['kind']>(kind: Kind): Promise<Extract<Report, { kind: Kind }>> => {
    const [report] = (await Promise.race([once(child, 'message'), exited])) as [Report]
    if (report?.kind !== kind) throw new Error(`the server answered ${JSON.stringify(report)} instead of ${kind}`)
    return report as Extract<Report, { kind: Kind }>
  }
  const tell = (order: Order): void => void child.send(order)
  const figures = (resetPeak: boolean) => {
    tell({ kind: 'figures', resetPeak })
    return next('figures')
  }
  return {
    side,
    target: await next('ready'),
    done(order: Order) {
      tell(order)
      return next('done')
    },
    /** More work may be added to a cost before. */
    async cost(work: () => Promise<unknown>, earlier?: Cost): Promise<Cost> {
      const before = await figures(earlier === undefined)
      const startMs = performance.now()
      await work()
      const seconds = (performance.now() - startMs) / 1_000
      const after = await figures(false)
      return {
        seconds: seconds + (earlier?.seconds ?? 0),
        cpuSeconds: after.cpuSeconds - before.cpuSeconds + (earlier?.cpuSeconds ?? 0),
        residentBytes: earlier?.residentBytes ?? before.residentBytes,
        peakBytes: after.peakBytes,
      }
    },
    async close(): Promise<void> {
      if (child.connected) tell({ kind: 'end' })
      await exited
    },
  }
}

type Side = Awaited<ReturnType<typeof openSide>>

interface Cost {
  seconds: number
  cpuSeconds: number
  /** Before. */
  residentBytes: number
  peakBytes: number
}

const figuresOf = (bytesCount: number, { seconds, cpuSeconds, residentBytes, peakBytes }: Cost): Figures => ({
  mb_per_cpu_s: round(bytesCount / 1e6 / cpuSeconds),
  mb_per_s: round(bytesCount / 1e6 / seconds),
  extra_mb: round((peakBytes - residentBytes) / 1e6),
})

/** The sides take turns here, too; answers in their order. */
async function measureLargeFiles(sides: readonly Side[]) {
  for (const { target } of sides) await upload(target, 20_000_000) // Warms up.
  const turns: Awaited<ReturnType<typeof measureLargeTurn>>[][] = sides.map(() => [])
  for (let turn = 0; turn < largeTurnsCount; turn++) {
    for (const [index, side] of sides.entries()) {
      turns[index]?.push(await measureLargeTurn(side))
      await side.done({ kind: 'forget' })
    }
  }
  return turns.map((ofSide) => ({
    upload_1gb: summarize(ofSide.map((turn) => turn.upload_1gb)),
    download_1gb: summarize(ofSide.map((turn) => turn.download_1gb)),
    tus_1gb: summarizeOurs(ofSide.map((turn) => turn.tus_1gb)),
    vault_write: summarizeOurs(ofSide.map((turn) => turn.vault_write)),
    vault_read: summarizeOurs(ofSide.map((turn) => turn.vault_read)),
    crypto: summarizeOurs(ofSide.map((turn) => turn.crypto)),
  }))
}

async function measureLargeTurn(side: Side) {
  const { target } = side
  const isOurs = side.side === 'platform'
  const measured = async (work: () => Promise<unknown>) => {
    await usePageCache()
    return figuresOf(largeBytes, await side.cost(work))
  }
  let contentUrl = target.uploadUrl
  const upload_1gb = await measured(async () => {
    const answer = await upload(target, largeBytes)
    if (isOurs) contentUrl += `/${answer.file_id}/content`
  })
  if (isOurs) await side.done({ kind: 'clear' })
  const download_1gb = await measured(() => download(contentUrl, target.key))
  await side.done({ kind: 'forget' })
  const tus_1gb = isOurs ? await measured(() => uploadByTus(target, largeBytes)) : undefined
  await side.done({ kind: 'forget' })
  const alone = async (kind: 'crypto' | 'vault-write' | 'vault-read') => {
    if (!isOurs) return undefined
    // The collection before a cost throws away what V8 had learned of the code: a little more of it is compiled again first.
    const idle = await side.cost(() => side.done({ kind, sizeBytes: warmUpBytes }))
    const work = () => side.done({ kind, sizeBytes: largeBytes })
    await usePageCache()
    return figuresOf(largeBytes, await side.cost(work, { ...idle, seconds: 0, cpuSeconds: 0 }))
  }
  return {
    upload_1gb,
    tus_1gb,
    download_1gb,
    vault_write: await alone('vault-write'),
    vault_read: await alone('vault-read'),
    crypto: await alone('crypto'),
  }
}

/**
 * Leaves memory for the next large file, from one that is written and removed. A virtual machine gives back to its host what
 * nothing has used for a while, and gets it again page by page: a file that is cached there costs four times as much to
 * write, on one run and not on another. A server that has been up for a day has used all its memory.
 */
async function usePageCache(): Promise<void> {
  const file = path.join(os.tmpdir(), `millrace-bench-bytes-${process.pid}`)
  const handle = await open(file, 'w')
  for (let bytes = 0; bytes < largeBytes * 1.5; bytes += piece.length) await handle.write(piece)
  await handle.close()
  await rm(file)
}

interface Summary extends Figures {
  best_mb_per_cpu_s: number
  best_mb_per_s: number
}

/** What only the platform does is missing for its peers. */
function summarizeOurs(runs: readonly (Figures | undefined)[]): Summary | undefined {
  const ours = runs.filter((run) => run !== undefined)
  return ours.length === 0 ? undefined : summarize(ours)
}

function summarize(runs: readonly Figures[]): Summary {
  type Name = 'mb_per_cpu_s' | 'mb_per_s' | 'extra_mb'
  const sorted = (name: Name): number[] => runs.map((run) => run[name]).sort((a, b) => a - b)
  // At least one run was made.
  const middle = (name: Name): number => sorted(name)[runs.length >> 1]!
  const most = (name: Name): number => sorted(name).at(-1)!
  return {
    mb_per_cpu_s: middle('mb_per_cpu_s'),
    mb_per_s: middle('mb_per_s'),
    best_mb_per_cpu_s: most('mb_per_cpu_s'),
    best_mb_per_s: most('mb_per_s'),
    extra_mb: most('extra_mb'),
  }
}

/** The sides take turns, so that what else the machine does meets all of them; answers in their order. */
async function measureSmallFiles(sides: readonly Side[], atOnce: number): Promise<Figures[]> {
  const databaseUrl = process.env['MILLRACE_TEST_DATABASE_URL']
  const database = databaseUrl ? await createServersCpu({ databaseUrl }) : undefined
  const roundFilesCount = Math.ceil(smallFilesCount / smallRoundsCount)
  const costs: Cost[] = []
  let databaseSeconds = 0
  for (let turn = 0; turn < smallRoundsCount; turn++) {
    for (const [index, side] of sides.entries()) {
      const databaseBefore = await database?.seconds()
      costs[index] = await side.cost(() => uploadSmall(side.target, roundFilesCount, atOnce), costs[index])
      if (database !== undefined && databaseBefore !== undefined && side.side === 'platform')
        databaseSeconds += (await database.seconds()) - databaseBefore
    }
  }
  database?.close()
  const filesCount = roundFilesCount * smallRoundsCount
  return costs.map((cost, index) => {
    const figures = figuresOf(smallBytes * filesCount, cost)
    figures['files_per_cpu_s'] = round(filesCount / cost.cpuSeconds)
    if (database !== undefined && sides[index]?.side === 'platform')
      figures['database_ms'] = round((databaseSeconds * 1_000) / filesCount, 2)
    return figures
  })
}

async function uploadSmall(target: Target, filesCount: number, atOnce: number): Promise<void> {
  const queue = Array(filesCount).values()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const _ of queue) await upload(target, smallBytes)
    }),
  )
}

interface Target {
  uploadUrl: string
  key: string
}

const agent = new http.Agent({ keepAlive: true })
const piece = Buffer.alloc(pieceBytes)
for (let at = 0; at < piece.length; at++) piece[at] = (at * 31 + (at >> 8)) & 0xff

function upload({ uploadUrl, key }: Target, sizeBytes: number): Promise<{ file_id?: string }> {
  const isForm = key !== ''
  const head = Buffer.from(
    isForm ? `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="bench.bin"\r\n\r\n` : '',
  )
  const tail = Buffer.from(isForm ? `\r\n--${boundary}--\r\n` : '')
  const request = http.request(uploadUrl, {
    method: 'POST',
    agent,
    headers: {
      'content-length': head.length + sizeBytes + tail.length,
      ...(isForm && {
        authorization: `Bearer ${key}`,
        'content-type': `multipart/form-data; boundary=${boundary}`,
      }),
    },
  })
  const answered = new Promise<{ file_id?: string }>((resolve, reject) => {
    request.once('error', reject)
    request.once('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('end', () => {
        const text = Buffer.concat(chunks).toString()
        if ((response.statusCode ?? 500) >= 300) reject(new Error(`${response.statusCode} ${text}`))
        else resolve(JSON.parse(text) as { file_id?: string })
      })
    })
  })
  void send(request, sizeBytes, { head, tail })
  return answered
}

async function send(
  request: http.ClientRequest,
  sizeBytes: number,
  { head = Buffer.alloc(0), tail = Buffer.alloc(0) }: { head?: Buffer; tail?: Buffer } = {},
): Promise<void> {
  try {
    request.write(head)
    for (let sent = 0; sent < sizeBytes; sent += piece.length) {
      if (!request.write(piece.subarray(0, Math.min(piece.length, sizeBytes - sent)))) await once(request, 'drain')
    }
    request.end(tail)
  } catch {
    // The answer's promise tells of it.
  }
}

/** All bytes in one request, as tus-js-client sends them. */
async function uploadByTus({ uploadUrl, key }: Target, sizeBytes: number): Promise<void> {
  const url = new URL('uploads', uploadUrl)
  const headers = { authorization: `Bearer ${key}`, 'tus-resumable': '1.0.0' }
  const begun = await fetch(url, { method: 'POST', headers: { ...headers, 'upload-length': String(sizeBytes) } })
  const request = http.request(new URL(begun.headers.get('location') ?? '', url), {
    method: 'PATCH',
    agent,
    headers: {
      ...headers,
      'upload-offset': '0',
      'content-type': 'application/offset+octet-stream',
      'content-length': sizeBytes,
    },
  })
  const answered = once(request, 'response')
  void send(request, sizeBytes)
  const [response] = (await answered) as [http.IncomingMessage]
  response.resume()
  if (response.statusCode !== 204) throw new Error(`tus answered ${response.statusCode}`)
}

/** Reads all that comes into one buffer: a client that is slower than the server would make it write in small pieces. */
function download(url: string, key: string): Promise<void> {
  const { hostname, port, pathname } = new URL(url)
  const authorization = key === '' ? '' : `Authorization: Bearer ${key}\r\n`
  const headEnd = '\r\n\r\n'
  return new Promise((resolve, reject) => {
    let head = ''
    let bytesCount = 0
    const callback = (count: number, buffer: Uint8Array): boolean => {
      bytesCount += count
      if (!head.includes(headEnd)) {
        head += Buffer.from(buffer.subarray(0, count)).toString('latin1')
        bytesCount = head.length - head.indexOf(headEnd) - headEnd.length
      }
      return true
    }
    net
      .connect({ host: hostname, port: Number(port), onread: { buffer: Buffer.alloc(downloadBufferBytes), callback } })
      .once('error', reject)
      .once('close', () => {
        const [status] = head.split('\r\n')
        if (status?.includes(' 200 ') && bytesCount === largeBytes) resolve()
        else reject(new Error(`download answered ${status} and ${bytesCount} bytes`))
      })
      .write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n${authorization}\r\n`)
  })
}

const round = (value: number, digits = 0): number => Math.round(value * 10 ** digits) / 10 ** digits
