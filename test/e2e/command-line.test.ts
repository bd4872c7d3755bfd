// The command `millrace` as a person runs it from the clone: over the folder of fixtures, over a bad line, and to look
// after what has become of the files.

import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
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

/** What npx finds in the clone, without the second that npx takes. */
const command = path.join(projectFolder, 'cli/bin/millrace.mjs')

function begin(url: string, ...words: string[]): Command {
  const child = spawn(process.execPath, [command, ...words], {
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
  await vi.waitUntil(() => proxy.cutsCount() >= 10, { timeout: 60_000 })
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

test('a file gets a version, a link and a zip, goes to the trash and is erased', async () => {
  const tell = async (...words: string[]) => {
    const { code, out, err } = await millrace(...words, '--json')
    expect(code, `${words.join(' ')}\n${err}`).toBe(0)
    return JSON.parse(out) as Record<string, string> & { items: Record<string, unknown>[] }
  }
  const letter = path.join(folder, 'note.txt')
  await writeFile(letter, 'first')
  const { file_id: fileId = '', job_id: jobId = '' } = await tell('upload', letter)
  await writeFile(letter, 'second')
  const second = await tell('upload', letter, '--version-of', fileId)
  await millrace('watch', jobId, second['job_id'] ?? '')
  expect((await tell('files', 'versions', fileId)).items.map(({ version }) => version)).toEqual([2, 1])
  const old = path.join(folder, 'old.txt')
  await tell('files', 'download', fileId, '--version', '1', '--out', old)
  expect(await readFile(old, 'utf8')).toBe('first')
  const { url = '', link_id: linkId = '' } = await tell('links', 'create', fileId)
  expect(await (await fetch(url)).text()).toBe('second')
  await tell('links', 'revoke', linkId)
  expect((await fetch(url)).status).toBe(404)
  await tell('files', 'zip', fileId, '--out', path.join(folder, 'files.zip'))
  await tell('jobs', 'zip', second['job_id'] ?? '', '--out', path.join(folder, 'outputs.zip'))
  for (const name of ['files.zip', 'outputs.zip'])
    expect((await readFile(path.join(folder, name))).subarray(0, 2).toString()).toBe('PK')
  await tell('files', 'delete', fileId)
  expect((await tell('files', 'list', '--trash')).items).toHaveLength(1)
  await tell('files', 'erase', fileId, '--yes')
  expect((await millrace('files', 'show', fileId)).err).toContain('There is no such')
}, 180_000)

test('npx finds it', () => {
  const { stdout } = spawnSync('npx', ['--no', 'millrace', '--version'], { cwd: projectFolder, encoding: 'utf8' })
  expect(stdout).toMatch(/^\d+\.\d+\.\d+/)
})

test('doctor, jobs, files and search answer', async () => {
  for (const words of [['doctor'], ['jobs'], ['files'], ['search', 'mill'], ['pipelines']]) {
    const { code, out, err } = await millrace(...words)
    expect(code, `${words.join(' ')}\n${out}\n${err}`).toBe(0)
    expect(out.length).toBeGreaterThan(10)
  }
})
