import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockDataFolder } from './data-lock.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'millrace-lock-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('lockDataFolder', () => {
  it('refuses a second living owner and names the process', async () => {
    await lockDataFolder(folder, process.pid)
    await expect(lockDataFolder(folder, process.pid + 1)).rejects.toThrow(`process ${process.pid}`)
  })

  it('gives the folder to the next one after release', async () => {
    const first = await lockDataFolder(folder, process.pid)
    await first.release()
    await (await lockDataFolder(folder, process.pid)).release()
  })

  it('takes over from a process that was killed', async () => {
    const child = spawn(process.execPath, ['-e', ''])
    const { pid } = child
    await new Promise((resolve) => child.on('close', resolve))
    await writeFile(path.join(folder, 'server-7.lock'), JSON.stringify({ pid, began: '1' }))
    await lockDataFolder(folder, process.pid)
    expect(JSON.parse(await readFile(path.join(folder, 'server-8.lock'), 'utf8'))).toMatchObject({ pid: process.pid })
  })

  it('takes over when the pid was given to another process since', async () => {
    await writeFile(path.join(folder, 'server-7.lock'), JSON.stringify({ pid: process.ppid, began: 'long ago' }))
    await lockDataFolder(folder, process.pid)
  })

  it('lets exactly one of many newcomers take over a damaged lock', async () => {
    await writeFile(path.join(folder, 'server-7.lock'), '{')
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockDataFolder(folder, process.pid)))
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1)
  })
})
