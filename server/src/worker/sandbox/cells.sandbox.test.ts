import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Duplex } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../platform/clock.ts'
import { silentLog } from '../../platform/log.ts'
import { createCells } from './cells.ts'
import type { CellFolders, Launcher } from './launcher.ts'
import type { Sandbox } from './sandbox.ts'

let folder: string
let sandbox: Sandbox
let launched: { folders: CellFolders; line: Duplex }[]

/** Children that do nothing; what matters is which of them is taken. */
const launcher: Launcher = {
  level: 'process',
  description: 'nothing',
  launch({ folders }) {
    const line = new Duplex({ read: () => {}, write: (_, __, done) => done() })
    launched.push({ folders, line })
    return {
      line,
      usage: async () => ({ memoryBytes: 0, pids: [] }),
      ended: Promise.resolve({ code: 0, signal: null }),
      lastWords: () => '',
      kill: async () => void line.destroy(),
    }
  },
}

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'millrace-cells-'))
  launched = []
  sandbox = createCells({
    launcher,
    folder,
    idleCellsMax: 4,
    clock: systemClock,
    log: silentLog,
    onClose: () => rm(folder, { recursive: true }),
  })
})
afterEach(() => sandbox.close())

/** Ends the child of this cell, and waits until that is known. */
async function endChildOf(inputFolder: string): Promise<void> {
  const line = launched.find((child) => child.folders.inputFolder === inputFolder)?.line
  if (line === undefined) throw new Error('there is no such child')
  const closed = once(line, 'close')
  line.destroy()
  await closed
}

test('a child that ended while it waited for its tenant is not handed out', async () => {
  const first = await sandbox.prepare(1, 7)
  await first.remove()
  await endChildOf(first.inputFolder)
  expect((await sandbox.prepare(2, 7)).inputFolder).not.toBe(first.inputFolder)
})

test('of the warm children of a tenant one that has run the processor is taken, else the one that was used last', async () => {
  const tables = await sandbox.prepare(1, 7, { processor: 'data.convert' })
  const pictures = await sandbox.prepare(2, 7, { processor: 'image.convert' })
  await tables.remove()
  await pictures.remove()
  const taken = await sandbox.prepare(3, 7, { processor: 'data.convert' })
  expect(taken.inputFolder).toBe(tables.inputFolder)
  await taken.remove()
  expect((await sandbox.prepare(4, 7, { processor: 'text.pii' })).inputFolder).toBe(tables.inputFolder)
  expect((await sandbox.prepare(5, 8, { processor: 'image.convert' })).inputFolder).not.toBe(pictures.inputFolder)
})

test('nor is one that ended while it waited for whoever comes', async () => {
  const first = await sandbox.prepare(1, 7)
  await expect.poll(() => launched.length).toBe(2)
  const blank = launched.find(({ folders }) => folders.inputFolder !== first.inputFolder)?.folders.inputFolder ?? ''
  await endChildOf(blank)
  expect((await sandbox.prepare(2, 8)).inputFolder).not.toBe(blank)
})
