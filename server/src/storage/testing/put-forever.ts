// Puts objects into a disk store until it is killed; prints the key of each once it is acknowledged.

import { randomBytes } from 'node:crypto'
import { argv, stdout } from 'node:process'
import { silentLog } from '../../platform/log.ts'
import { openDiskStore } from '../disk.ts'

const store = await openDiskStore({ directory: argv[2] ?? '', log: silentLog })
const piece = randomBytes(100_000)

async function* body(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 10; i++) yield piece
}

async function putAll(lane: number): Promise<void> {
  for (let i = 0; ; i++) {
    const { key } = await store.put(`kill/${lane}/${i}`, body())
    stdout.write(`${key}\n`)
  }
}

await Promise.all([putAll(0), putAll(1), putAll(2)])
