// Stopping, being killed, and starting again: no job is lost and none is done twice.

import { randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runKillStorm } from '../chaos/kill-storm.ts'
import { makePdf } from '../fixtures/pdf.ts'
import { prose, utf8 } from '../fixtures/texts.ts'
import { openHouse, shape, type House } from './house.ts'
import { runFile, untilEnded, upload } from './jobs.ts'
import { proveHealthy } from './proof.ts'
import { runServerCommand } from './server-child.ts'

/** The product gives itself five seconds; this is what a busy machine adds to that. */
const stopMsMax = 8_000
let house: House

beforeAll(async () => {
  house = await openHouse()
}, 120_000)
afterAll(() => house?.close())

describe('Ctrl-C', () => {
  test('ends every process in order, soon, and what was running is handed back without using an attempt', async () => {
    const book = makePdf(Array.from({ length: 60 }, (_, page) => ({ lines: [`Page ${page}`, ...prose] })))
    const sent = await Promise.all(
      Array.from({ length: 8 }, (_, index) => upload(house.client, { name: `book-${index}.pdf`, bytes: book })),
    )
    const { codes, milliseconds } = await house.stop()
    expect(
      codes.every((code) => code === 0),
      `ended with ${codes.join(', ')}\n${await house.logs()}`,
    ).toBe(true)
    expect(milliseconds).toBeLessThan(stopMsMax)
    await house.start()
    for (const { job_id: jobId } of sent) {
      const job = await untilEnded(house.client, jobId)
      expect(job.status).toBe('completed')
      expect(Math.max(...job.steps.map(({ attempts }) => attempts)), 'no attempt was used up').toBe(1)
      expect(new Set(job.output_files).size).toBe(job.output_files.length)
    }
    await proveHealthy(house.client)
  })

  test('and a later start finds everything as it was', async () => {
    const { file_id: fileId } = await runFile(house.client, { name: 'kept.txt', bytes: utf8('Kept.\n') })
    await house.stop()
    await house.start()
    const content = await house.client.fetchPath(`/api/v1/files/${fileId}/content`)
    expect(await content.text()).toBe('Kept.\n')
  })
})

describe('a start that cannot be', () => {
  test.runIf(shape === 'one-process')(
    'a second one on the same data folder is refused, and the first goes on',
    async () => {
      const { code, output } = await house.command('serve', '--port', '0')
      expect(code).toBe(1)
      expect(output).toContain(house.dataFolder)
      expect(output).toMatch(/in use|already/i)
      expect(await runFile(house.client, { name: 'still.txt', bytes: utf8('Still here.\n') })).toMatchObject({
        status: 'completed',
      })
    },
  )

  test.each([
    ['DATABASE_URL', ['--role', 'api'], {}],
    ['OBJECT_STORE', ['--role', 'worker'], { DATABASE_URL: 'postgres://nobody@127.0.0.1:9/none' }],
    ['DATABASE_URL', [], { DATABASE_URL: 'mysql://somewhere' }],
    ['OBJECT_STORE', [], { OBJECT_STORE: 'relative/folder' }],
    ['REDIS_URL', [], { REDIS_URL: 'http://cache' }],
    ['--role', ['--role', 'everything'], {}],
    ['--port', ['--port', 'eighty'], {}],
  ] as [string, string[], Record<string, string>][])(
    '%s missing or wrong: %j %j names the setting and what was expected',
    async (name, args, environment) => {
      const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-settings-'))
      try {
        const data = path.join(folder, 'data')
        const { code, output } = await runServerCommand({
          name: 'settings',
          args: ['serve', '--data', data, ...args],
          environment,
          logFile: path.join(folder, 'log'),
        })
        expect(code).toBe(1)
        expect(output).toContain(name)
        expect(output).toContain('expected')
        expect(output, 'no stack').not.toMatch(/\n\s+at /)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
  )
})

test('kill -9 at random moments loses nothing and does nothing twice', { timeout: 600_000 }, async () => {
  const seed = randomInt(1_000_000)
  console.log(`kill storm with seed ${seed} (again: npm run chaos -- kill --files 60 --kills 4 --seed ${seed})`)
  const result = await runKillStorm({
    filesCount: 60,
    killsCount: 4,
    seed,
    report: (line) => console.log(line),
  })
  expect(result.faults).toEqual([])
  expect(result.ended).toEqual({ completed: 60 })
})
