// What every sandbox promises, each case with a task that tries to break it (../testing/hostile-runs.ts). A backend's
// own test file calls this once.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { hostname, platform, tmpdir } from 'node:os'
import path from 'node:path'
import { createServer } from 'node:net'
import { env, execPath, kill, pid, ppid } from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, pidsWith, processesWith } from '../testing/eventually.ts'
import { openTestSandbox, type TestSandbox } from '../testing/test-sandbox.ts'
import type { SandboxFolders, SandboxLevel } from './sandbox.ts'

const mb = 1024 ** 2

export function describeSandbox(level: SandboxLevel): void {
  describe(`sandbox of level ${level}`, () => {
    let house: TestSandbox
    let outside: string
    beforeAll(async () => {
      outside = await mkdtemp(path.join(tmpdir(), 'millrace-outside-'))
      await writeFile(path.join(outside, 'secret'), 'the key of somebody else')
      house = await openTestSandbox(level)
    })
    afterAll(async () => {
      await house.close()
      await rm(outside, { recursive: true, force: true })
    })

    /** Result of the one who tried. */
    const resultOf = async (processor: string, parameters: Record<string, unknown> = {}): Promise<unknown> => {
      const { end } = await house.run(processor, { parameters })
      expect(end).toMatchObject({ kind: 'outcome', outcome: { kind: 'done' } })
      return (end as { outcome: { result: unknown } }).outcome.result
    }
    /** Gone: refused, or the child broke on it. */
    const refused = (result: unknown): void => expect(String(result)).toMatch(/^refused/)

    describe('serves', () => {
      test('a task that reads its input and writes an output', async () => {
        const { end, files } = await house.run('echo', { input: 'hello', keep: true })
        expect(end).toMatchObject({ outcome: { kind: 'done', outputs: [{ path: 'copy.txt' }] } })
        expect(files).toEqual({ 'copy.txt': 'hello' })
      })

      test('the tasks of one tenant in one warm child, in empty folders', async () => {
        const first = await house.run('echo', { tenantId: 21 })
        const second = await house.run('list', { tenantId: 21, parameters: { path: first.folders.outputFolder } })
        expect(second.folders).toMatchObject({ outputFolder: first.folders.outputFolder })
        expect(second.end).toMatchObject({ outcome: { result: [] } })
      })

      test('two tenants in two children', async () => {
        const first = await house.run('echo', { tenantId: 22 })
        const second = await house.run('echo', { tenantId: 23 })
        expect(second.folders.outputFolder).not.toBe(first.folders.outputFolder)
      })

      test('programs, where the task is one', async () => {
        const { end } = await house.run('program', { isolation: 'cli', parameters: { script: 'echo $((6 * 7))' } })
        expect(end).toMatchObject({ outcome: { result: { status: 0, output: '42\n' } } })
      })
    })

    describe('keeps from a task', () => {
      for (const file of ['/etc/passwd', '/etc/shadow', '/root/.bashrc', '/proc/1/cmdline', '/proc/self/mountinfo'])
        test(`reading of ${file}`, async () => {
          const result = String(await resultOf('read', { path: file }))
          const own = /^\/(?:proc)/.test(file) && level === 'bubblewrap' // There /proc is its own.
          if (own) expect(result).not.toContain(execPath)
          else refused(result)
        })

      test("the supervisor's environment", async () => {
        env['MILLRACE_TEST_SECRET'] = 'a secret of the supervisor'
        expect(JSON.stringify(await resultOf('environment'))).not.toContain('a secret of the supervisor')
        for (const owner of ['1', 'self', String(pid), String(ppid)])
          expect(await resultOf('read', { path: `/proc/${owner}/environ` })).not.toContain('a secret')
        delete env['MILLRACE_TEST_SECRET']
      })

      test('files beside its own, such as the data folder', async () => {
        refused(await resultOf('read', { path: path.join(outside, 'secret') }))
        refused(await resultOf('list', { path: outside }))
      })

      test("another tenant's task", async () => {
        const other = await house.sandbox.prepare(1, 24)
        await writeFile(path.join(other.inputFolder, '0'), 'of tenant 24')
        refused(await resultOf('read', { path: path.join(other.inputFolder, '0') }))
        refused(await resultOf('list', { path: other.outputFolder }))
        const cell = path.dirname(other.outputFolder)
        expect(await resultOf('list', { path: path.dirname(cell) })).not.toContain(path.basename(cell))
        refused(await resultOf('write', { path: path.join(other.outputFolder, 'x') }))
        await other.remove()
      })

      test('changing its input, of which later tasks may be given a copy', async () => {
        const kept = { objectId: 'kept', tenantId: 7, sizeBytes: 9 }
        const into = ({ inputFolder }: SandboxFolders): string => {
          writeFileSync(path.join(inputFolder, 'planted'), 'unchanged', { mode: 0o400 })
          house.sandbox.keptInputs.keep(kept, path.join(inputFolder, 'planted'))
          return inputFolder
        }
        const { end } = await house.run('change', { into })
        const { read, ...tries } = (end as { outcome: { result: Record<string, unknown> } }).outcome.result
        expect(read).toBe('unchanged')
        expect(Object.keys(tries)).toHaveLength(5)
        for (const tried of Object.values(tries)) refused(tried)
        const given = path.join(outside, 'given')
        expect(await house.sandbox.keptInputs.give(kept, given)).toBe(platform() === 'linux')
        if (platform() === 'linux') expect(await readFile(given, 'utf8')).toBe('unchanged')
      })

      test('writing anywhere but to its output and scratch folders', async () => {
        for (const folder of ['/', '/etc', '/usr', '/dev', '/proc/sys/kernel', import.meta.dirname, outside])
          refused(await resultOf('write', { path: path.join(folder, 'hostname') }))
        expect(existsSync(path.join(outside, 'hostname'))).toBe(false)
        const { end, folders } = await house.run('write', { into: (folders) => folders.inputFolder })
        expect(end).toMatchObject({ outcome: { result: expect.stringMatching(/^refused/) } })
        expect(existsSync(path.join(folders.inputFolder, 'planted'))).toBe(false)
      })

      test('moving its folders away under the feet of the supervisor', async () => {
        expect(await resultOf('swap-folders')).toEqual({
          moved: expect.stringMatching(/^refused/),
          input: expect.stringMatching(/^refused/),
        })
      })

      test('every network', async () => {
        const server = createServer((socket) => socket.end('inside')).listen(0, '127.0.0.1')
        await new Promise((resolve) => server.once('listening', resolve))
        const { port } = server.address() as { port: number }
        refused(await resultOf('connect', { host: '127.0.0.1', port }))
        refused(await resultOf('connect', { host: '169.254.169.254', port: 80 }))
        refused(await resultOf('datagram'))
        const { end } = await house.run('listen')
        expect(JSON.stringify(end)).not.toContain('listening')
        server.close()
      })
    })

    describe('ends', () => {
      test('an endless loop, at its time limit', async () => {
        expect((await house.run('loop', { timeoutMs: 300 })).end).toEqual({ kind: 'timeout' })
      })

      test('a task that ignores every polite signal', async () => {
        expect((await house.run('ignore-signals', { timeoutMs: 300 })).end).toEqual({ kind: 'timeout' })
      })

      test('one that takes too much memory', async () => {
        expect((await house.run('exhaust-memory', { memoryBytes: 250 * mb })).end).toEqual({ kind: 'memory' })
        expect((await house.run('exhaust-heap', { memoryBytes: 250 * mb })).end).toEqual({ kind: 'memory' })
      })

      test('one whose programs take too much memory together', async () => {
        const script =
          'for i in 1 2 3 4; do head -c 60000000 /dev/zero | tail -c 60000000 | { read x; } & done; wait; sleep 20'
        const { end } = await house.run('program', { isolation: 'cli', parameters: { script }, memoryBytes: 200 * mb })
        expect(end).toEqual({ kind: 'memory' })
      })

      test('one that writes too much, or too many files', async () => {
        expect((await house.run('flood-disk', { outputBytesMax: 20 * mb })).end).toEqual({ kind: 'output' })
        expect((await house.run('flood-names', { outputFilesMax: 500 })).end).toEqual({ kind: 'output' })
      })

      test('one that claims a terabyte of nothing', async () => {
        const { end } = await house.run('sparse', { outputBytesMax: 20 * mb, parameters: { waitMs: 1_500 } })
        // Where there are resource limits the file cannot be made at all.
        const prevented = end.kind === 'outcome' && JSON.stringify(end).includes('refused: EFBIG')
        expect(prevented || end.kind === 'output').toBe(true)
      })

      test('one that is aborted', async () => {
        const controller = new AbortController()
        setTimeout(() => controller.abort(), 150)
        expect((await house.run('sleep', { signal: controller.signal })).end).toEqual({ kind: 'aborted' })
        expect((await house.run('echo', { signal: controller.signal })).end).toEqual({ kind: 'aborted' })
      })

      test('a crowd of processes', async () => {
        // Of this level alone: the other's file may run at the same time.
        const seconds = level === 'bubblewrap' ? '31.75' : '31.5'
        const script = `for i in $(seq 400); do sleep ${seconds} & done; wait`
        const { end } = await house.run('program', { isolation: 'cli', parameters: { script } })
        expect(end).toEqual({ kind: 'crashed', detail: 'it started too many processes' })
        expect(await processesWith(`sleep ${seconds}`)).toEqual([])
      })

      test('what a task left running, however it hid', async () => {
        const script = 'setsid sleep 32.75 & setsid sh -c "sleep 33.75 & exec true" & (sleep 34.75 &)'
        const { end } = await house.run('background', { isolation: 'cli', parameters: { script } })
        expect(end).toMatchObject({ outcome: { result: 'started' } })
        for (const mark of ['32.75', '33.75', '34.75']) expect(await processesWith(mark)).toEqual([])
      })

      test('every child when it closes', async () => {
        const own = await openTestSandbox(level)
        await own.run('echo')
        const running = own.run('sleep')
        await eventually(async () => expect(await processesWith(own.scratchFolder)).not.toEqual([]))
        await own.close()
        expect(['aborted', 'crashed', 'memory']).toContain((await running).end.kind)
        expect(await processesWith(own.scratchFolder)).toEqual([])
        expect(existsSync(own.scratchFolder)).toBe(false)
      })
    })

    describe('survives', () => {
      for (const processor of [
        'exit',
        'throw',
        'reject-later',
        'close-line',
        'garbage-line',
        'flood-line',
        'flood-stderr',
      ])
        test(`a child that plays ${processor}, and serves the next task in a new one`, async () => {
          const { end } = await house.run(processor, { tenantId: 25, timeoutMs: 5_000 })
          expect(end.kind).toBe('crashed')
          expect((await house.run('echo', { tenantId: 25 })).end.kind).toBe('outcome')
        })

      test('a child that is killed from outside, and does not take the task for too large', async () => {
        const own = await openTestSandbox(level)
        await own.run('echo')
        const running = own.run('sleep')
        await delay(200)
        for (const pid of await pidsWith(own.scratchFolder)) kill(pid, 'SIGKILL')
        expect((await running).end.kind).toBe('crashed')
        await own.close()
      })

      test('an answer of excessive length', async () => {
        const { end } = await house.run('large', { parameters: { length: 20 * mb } })
        expect(end).toEqual({ kind: 'crashed', detail: 'its answer is too long' })
      })

      test('a processor that does not exist', async () => {
        const { end } = await house.run('no.such')
        expect(end).toMatchObject({ kind: 'crashed', detail: expect.stringContaining('no such processor') })
      })

      test('folders that are hard to remove', async () => {
        expect(await resultOf('deep-folder')).toBe('made')
        expect(await resultOf('lock-folder')).toBe('locked')
        expect((await house.run('echo')).end.kind).toBe('outcome')
      })
    })

    test('leaves no child behind when its worker is killed, and the next one sweeps the files', async () => {
      const parent = path.join(outside, 'of-the-killed')
      const program = fileURLToPath(new URL('../testing/sandbox-forever.ts', import.meta.url))
      const worker = spawn(execPath, [program, level, parent], { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(worker.stdout, 'data')
      expect((await processesWith(parent)).length).toBeGreaterThan(1)
      worker.kill('SIGKILL')
      await once(worker, 'exit')
      await eventually(async () => expect(await processesWith(parent)).toEqual([]))
      const [left] = await readdir(parent)
      const next = await openTestSandbox(level, parent)
      expect(await readdir(parent)).not.toContain(left)
      await next.close()
    })

    test('sweeps what a killed worker left behind, and follows no link in it', async () => {
      const parent = path.join(outside, 'scratch')
      const left = path.join(parent, `${hostname()}.999999.dead`)
      await mkdir(path.join(left, '0', 'out'), { recursive: true })
      await symlink(outside, path.join(left, '0', 'out', 'link'))
      const own = await openTestSandbox(level, parent)
      expect(await readdir(parent)).toHaveLength(1)
      expect(await readFile(path.join(outside, 'secret'), 'utf8')).toBe('the key of somebody else')
      await own.close()
      expect(await readdir(parent)).toEqual([])
    })
  })
}
