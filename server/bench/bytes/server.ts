// The measured sides of bytes.bench.ts, each in a process of its own so that the client's time and memory are not counted
// as the server's: the platform's way in and out (form, hash, encryption, store, seal; range, decryption, check), or one
// of its peers.

import { createCipheriv, createHash, createSecretKey, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { openPeer } from './peer.ts'

export type SideName = 'bare' | 'sealing' | 'platform'

export type Order =
  | { kind: 'figures'; resetPeak: boolean }
  | { kind: 'clear' }
  /** Gives the disk its room back: no large file is read again. */
  | { kind: 'forget' }
  /** Without HTTP: what the two algorithms alone take, and what the vault does. */
  | { kind: 'crypto' | 'vault-write' | 'vault-read'; sizeBytes: number }
  | { kind: 'end' }
export type Report =
  | { kind: 'ready'; uploadUrl: string; key: string }
  | { kind: 'figures'; cpuSeconds: number; residentBytes: number; peakBytes: number }
  | { kind: 'done' }

const sideName = process.argv[2] as SideName // Given by the benchmark.
const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-bench-bytes-'))
const side = await open()
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
    case 'end':
      clearInterval(sampling)
      await side.stop()
      await rm(folder, { recursive: true, force: true })
      return process.disconnect?.()
    case 'clear':
      await side.clear?.()
      break
    case 'forget':
      await removeLargeFiles()
      break
    case 'crypto':
      hashAndEncrypt(order.sizeBytes)
      break
    case 'vault-write':
      await side.vaultWrite?.(contentOf(order.sizeBytes))
      break
    case 'vault-read':
      await side.vaultRead?.()
      break
  }
  report({ kind: 'done' })
}
report({ kind: 'ready', uploadUrl: side.uploadUrl, key: side.key ?? '' })

interface Side {
  uploadUrl: string
  key?: string
  /** Lets what was uploaded be downloaded. */
  clear?(): Promise<void>
  vaultWrite?(content: AsyncIterable<Uint8Array>): Promise<void>
  /** Of what was written last. */
  vaultRead?(): Promise<void>
  stop(): Promise<void> | void
}

async function open(): Promise<Side> {
  if (sideName !== 'platform') return openPeer(folder, { encrypts: sideName === 'sealing' })
  const { openUploadPlatform } = await import('./platform.ts')
  return openUploadPlatform(folder)
}

const largeFileBytes = 1_000_000

async function removeLargeFiles(): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name)
    if (entry.isFile() && (await stat(file)).size > largeFileBytes) await rm(file)
  }
}

const pieceBytes = 64 * 1024

/** As a request brings it: a piece with every turn of the loop. */
async function* contentOf(sizeBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  const piece = Buffer.alloc(pieceBytes, 7)
  for (let sentBytes = 0; sentBytes < sizeBytes; sentBytes += pieceBytes) {
    await new Promise(setImmediate)
    yield piece.subarray(0, sizeBytes - sentBytes)
  }
}

/** What node:crypto takes to hash and encrypt in chunks of this format. */
function hashAndEncrypt(sizeBytes: number): void {
  const chunk = Buffer.alloc(16_384, 7)
  const hash = createHash('sha256')
  const key = createSecretKey(randomBytes(32))
  const nonce = randomBytes(12)
  for (let doneBytes = 0; doneBytes < sizeBytes; doneBytes += chunk.length) {
    hash.update(chunk)
    const cipher = createCipheriv('aes-256-gcm', key, nonce)
    cipher.update(chunk).buffer.transfer(0) // Else the collector's work would be measured too.
    cipher.final()
    cipher.getAuthTag()
  }
  hash.digest()
}
