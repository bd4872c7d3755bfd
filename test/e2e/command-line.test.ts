// `millrace process` over the folder of fixtures, as a person runs it from the clone.

import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { badFiles } from '../fixtures/bad-files.ts'
import { goodFiles } from '../fixtures/good-files.ts'
import { writeFixtures } from '../fixtures/write-folder.ts'
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

function millrace(...words: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn('npx', ['--no', 'millrace', ...words], {
    cwd: projectFolder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      MILLRACE_URL: house.url,
      MILLRACE_API_KEY: house.credentials.api_key,
    },
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, out, err }))
  })
}

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

test('doctor, jobs, files and search answer', async () => {
  for (const words of [['doctor'], ['jobs'], ['files'], ['search', 'mill'], ['pipelines']]) {
    const { code, out, err } = await millrace(...words)
    expect(code, `${words.join(' ')}\n${out}\n${err}`).toBe(0)
    expect(out.length).toBeGreaterThan(10)
  }
})
