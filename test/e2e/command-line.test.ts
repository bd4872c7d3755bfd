// `millrace process` over the folder of fixtures, as a person runs it from the clone.

import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { badFiles } from '../fixtures/bad-files.ts'
import { goodFiles } from '../fixtures/good-files.ts'
import { writeFixtures } from '../fixtures/write-folder.ts'
import { openCuttingProxy } from './cutting-proxy.ts'
import { openHouse, type House } from './house.ts'
import { projectFolder } from './server-child.ts'

let house: House
let folder: string

beforeAll(async () => {
  house = await openHouse()
  folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-cli-'))
}, 120_000)
afterAll(async () => {
  await house?.close()
  await rm(folder, { recursive: true, force: true })
})

interface Command {
  ended: Promise<{ code: number | null; out: string; err: string }>
  /** As Ctrl-C in a terminal: to the command and all that it has started. */
  interrupt(): void
}

function begin(url: string, ...words: string[]): Command {
  const child = spawn('npx', ['--no', 'millrace', ...words], {
    cwd: projectFolder,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      XDG_STATE_HOME: path.join(folder, 'state'),
      MILLRACE_URL: url,
      MILLRACE_API_KEY: house.credentials.api_key,
    },
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  return {
    interrupt: () => child.pid !== undefined && process.kill(-child.pid, 'SIGINT'),
    ended: new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, out, err }))
    }),
  }
}

const millrace = (...words: string[]) => begin(house.url, ...words).ended

describe('millrace process', () => {
  test('takes a folder of files to its outputs, and ends with 0', async () => {
    const input = path.join(folder, 'in')
    const output = path.join(folder, 'out')
    const count = await writeFixtures(goodFiles, input)
    const { code, out, err } = await millrace('process', input, '--out', output)
    expect(code, `${out}\n${err}`).toBe(0)
    expect(out).toMatch(/\d+ files? done, 0 failed/)
    expect(Number(/(\d+) files? done/.exec(out)?.[1])).toBeGreaterThanOrEqual(count)
    const written = await readdir(output, { recursive: true })
    expect(written.filter((name) => name.endsWith('processed_data.csv')).length).toBeGreaterThan(10)
    expect(written.filter((name) => name.endsWith('.parquet')).length).toBeGreaterThan(10)
  })

  test('ends with 1 when a file failed, with the problem and its remedy', async () => {
    const input = path.join(folder, 'bad')
    await writeFixtures(
      badFiles.filter(({ name }) => ['locked.pdf', 'cut-plain.png', 'empty.csv'].includes(name)),
      input,
    )
    const { code, out, err } = await millrace('process', input, '--no-download')
    expect(code).toBe(1)
    expect(out + err).toContain('Remove the password')
    expect(out + err).toContain('The file is empty.')
    expect(out + err).not.toMatch(/\n\s+at /)
  })

  test('tells programs in JSON', async () => {
    const input = path.join(folder, 'json')
    await writeFixtures(goodFiles.slice(0, 2), input)
    const { code, out } = await millrace('process', input, '--no-download', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual(expect.any(Object))
  })
})

test('a large file arrives over a line that is cut, and the same command goes on after Ctrl-C', async () => {
  const content = randomBytes(24 * 1024 * 1024)
  const large = path.join(folder, 'large.bin')
  await writeFile(large, content)
  const line = { target: house.url, prefix: '/millrace', cutsCount: 20, cutAfterBytes: 200_000 }
  const proxy = await openCuttingProxy({ ...line, bytesPerSecond: 8_000_000 })
  onTestFinished(() => proxy.close())
  const url = `${proxy.url}/millrace`
  const first = begin(url, 'upload', large)
  await vi.waitUntil(() => proxy.cutsCount() === 10, { timeout: 60_000 })
  first.interrupt()
  expect((await first.ended).err).toContain('the same command goes on from there')
  const second = await begin(url, 'upload', large, '--json').ended
  expect(second, second.err).toMatchObject({ code: 0 })
  expect(proxy.cutsCount()).toBe(20)
  const { sha256 } = JSON.parse(second.out) as { sha256: string }
  expect(sha256).toBe(createHash('sha256').update(content).digest('hex'))
  const { items } = await house.client.call('listUploads', { query: {} })
  expect(items.map(({ name, state }) => [name, state])).toEqual([['large.bin', 'sealed']])
}, 120_000)

test('doctor, jobs, files and search answer', async () => {
  for (const words of [['doctor'], ['jobs'], ['files'], ['search', 'mill'], ['pipelines']]) {
    const { code, out, err } = await millrace(...words)
    expect(code, `${words.join(' ')}\n${out}\n${err}`).toBe(0)
    expect(out.length).toBeGreaterThan(10)
  }
})
