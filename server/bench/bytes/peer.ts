// The peers of bytes.bench.ts: bare node:http servers that do the least that could be called the same. One hashes to
// SHA-256 and writes a file that is there as a whole or not, and stays; the other also encrypts it with AES-256-GCM, as one
// stream under one key.

import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { closeSync, createReadStream, createWriteStream, fsync, openSync } from 'node:fs'
import { rename, stat } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'

const forceToDisk = promisify(fsync)

export interface Peer {
  uploadUrl: string
  stop(): void
}

interface Stored {
  file: string
  key: Buffer
  nonce: Buffer
  tag: Buffer
}

export async function openPeer(folder: string, { encrypts }: { encrypts: boolean }): Promise<Peer> {
  let last: Stored | undefined
  let filesCount = 0

  async function receive(request: http.IncomingMessage): Promise<string> {
    const file = path.join(folder, `upload-${filesCount++}`)
    const temp = `${file}.temp`
    const hash = createHash('sha256')
    const hashing = new Transform({
      transform(chunk: Buffer, _, done) {
        hash.update(chunk)
        done(null, chunk)
      },
    })
    const [key, nonce] = [randomBytes(32), randomBytes(12)]
    const to = createWriteStream(temp, { flush: true })
    if (encrypts) {
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      await pipeline(request, hashing, cipher, to)
      last = { file, key, nonce, tag: cipher.getAuthTag() }
    } else {
      await pipeline(request, hashing, to)
      last = { file, key, nonce, tag: Buffer.alloc(0) }
    }
    await rename(temp, file)
    const names = openSync(folder, 'r')
    await forceToDisk(names)
    closeSync(names)
    return hash.digest('hex')
  }

  async function send(response: http.ServerResponse): Promise<void> {
    if (last === undefined) throw new Error('nothing was uploaded')
    response.setHeader('content-length', (await stat(last.file)).size)
    const from = createReadStream(last.file)
    if (!encrypts) return pipeline(from, response)
    const decipher = createDecipheriv('aes-256-gcm', last.key, last.nonce).setAuthTag(last.tag)
    return pipeline(from, decipher, response)
  }

  const server = http.createServer((request, response) => {
    void (async () => {
      if (request.method === 'GET') await send(response)
      else response.end(JSON.stringify({ sha256: await receive(request) }))
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // It listens on a port, so its address is not a string.
  const uploadUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/upload`
  return { uploadUrl, stop: () => void server.close() }
}
