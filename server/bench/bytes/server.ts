// The measured sides of bytes.bench.ts, each in a process of its own so that the client's time and memory are not counted
// as the server's: the platform's way in and out (form, hash, encryption, store, seal; range, decryption, check), or a
// bare node:http server that does the least that could be called the same: SHA-256 and a file.

import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

export type Order = { kind: 'figures'; resetPeak: boolean } | { kind: 'clear' } | { kind: 'end' }
export type Report =
  | { kind: 'ready'; uploadUrl: string; key: string }
  | { kind: 'figures'; cpuSeconds: number; residentBytes: number; peakBytes: number }
  | { kind: 'cleared' }

const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-bench-bytes-'))
const side = process.argv[2] === 'bare' ? await startBare() : await startPlatform()
const report = (message: Report): void => void process.send?.(message)

let peakBytes = 0
const sampling = setInterval(() => {
  peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
}, 20)

process.on('message', (order: Order) => void obey(order))
async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case 'figures': {
      if (order.resetPeak) globalThis.gc?.()
      const residentBytes = process.memoryUsage.rss()
      peakBytes = order.resetPeak ? residentBytes : Math.max(peakBytes, residentBytes)
      const { user, system } = process.cpuUsage()
      return report({ kind: 'figures', cpuSeconds: (user + system) / 1e6, residentBytes, peakBytes })
    }
    case 'clear':
      await side.clear()
      return report({ kind: 'cleared' })
    case 'end':
      clearInterval(sampling)
      await side.stop()
      await rm(folder, { recursive: true, force: true })
      process.disconnect?.()
  }
}
report({ kind: 'ready', uploadUrl: side.uploadUrl, key: side.key })

interface Side {
  uploadUrl: string
  key: string
  /** Lets what was uploaded be downloaded. */
  clear(): Promise<void>
  stop(): Promise<void>
}

async function startBare(): Promise<Side> {
  const file = path.join(folder, 'upload')
  const server = http.createServer((request, response) => {
    void (async () => {
      if (request.method === 'GET') {
        response.setHeader('content-length', (await stat(file)).size)
        return pipeline(createReadStream(file), response)
      }
      const hash = createHash('sha256')
      const hashing = new Transform({
        transform(chunk: Buffer, _, done) {
          hash.update(chunk)
          done(null, chunk)
        },
      })
      await pipeline(request, hashing, createWriteStream(file, { flush: true }))
      response.end(JSON.stringify({ sha256: hash.digest('hex') }))
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // It listens on a port, so its address is not a string.
  const uploadUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/upload`
  return { uploadUrl, key: '', clear: async () => undefined, stop: async () => void server.close() }
}

async function startPlatform(): Promise<Side> {
  const { openUploadPlatform } = await import('./platform.ts')
  return openUploadPlatform(folder)
}
