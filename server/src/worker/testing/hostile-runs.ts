// Processors that break every rule, for the sandbox's tests; each answers with what it could do. Loaded by the child
// in place of pipeline/runs.ts.

import { spawn, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import path from 'node:path'
import type { ProcessorOutcome, SandboxedProcessor, SandboxRun } from '../../pipeline/processor.ts'

const done = (
  result: unknown,
  outputs: { path: string; name: string; contentType: string }[] = [],
): ProcessorOutcome => ({
  kind: 'done',
  outputs,
  result,
})

const text = (name: string) => ({ path: name, name: path.basename(name), contentType: 'text/plain' })

/** What came of it, or the code of the error. */
function attempt(work: () => unknown): unknown {
  try {
    return work() ?? 'done'
  } catch (error) {
    return error instanceof Error ? `refused: ${'code' in error ? String(error.code) : error.message}` : 'refused'
  }
}

const param = (run: SandboxRun, name: string): string => String(run.parameters[name])

const processors: Record<string, SandboxedProcessor> = {
  echo: async (run) => {
    const [file] = run.files
    const bytes = file === undefined ? Buffer.from('nothing') : readFileSync(file.path)
    writeFileSync(path.join(run.outputFolder, 'copy.txt'), bytes)
    return done({ pid: process.pid, parameters: run.parameters, bytesCount: bytes.length }, [text('copy.txt')])
  },
  read: async (run) => done(attempt(() => readFileSync(param(run, 'path'), 'latin1').slice(0, 200))),
  list: async (run) => done(attempt(() => readdirSync(param(run, 'path')))),
  write: async (run) => done(attempt(() => writeFileSync(param(run, 'path'), 'written by a task'))),
  change: async (run) => {
    const file = param(run, 'path')
    return done({
      read: attempt(() => readFileSync(file, 'latin1')),
      mode: attempt(() => chmodSync(file, 0o600)),
      content: attempt(() => writeFileSync(file, 'changed')),
      length: attempt(() => truncateSync(file, 1)),
      place: attempt(() => renameSync(file, path.join(run.outputFolder, 'moved'))),
      name: attempt(() => linkSync(file, path.join(run.outputFolder, 'linked'))),
    })
  },
  environment: async () => done({ ...process.env }),
  connect: async (run) =>
    done(
      await new Promise((resolve) => {
        try {
          const socket = connect({ host: param(run, 'host'), port: Number(run.parameters['port']) })
          socket.on('connect', () => resolve('connected'))
          socket.on('error', (error) => resolve(`refused: ${'code' in error ? String(error.code) : error.message}`))
        } catch (error) {
          resolve(`refused: ${String(error)}`)
        }
      }),
    ),
  listen: async () =>
    done(
      await new Promise((resolve) => {
        try {
          const server = createServer()
          server.on('error', (error) => resolve(`refused: ${error.message}`))
          server.listen(0, '127.0.0.1', () => resolve('listening'))
        } catch (error) {
          resolve(`refused: ${String(error)}`)
        }
      }),
    ),
  datagram: async () =>
    done(
      await new Promise((resolve) => {
        try {
          const socket = createSocket('udp4')
          socket.on('error', (error) => resolve(`refused: ${error.message}`))
          socket.bind(0, '127.0.0.1', () => resolve('bound'))
        } catch (error) {
          resolve(`refused: ${String(error)}`)
        }
      }),
    ),
  interfaces: async () => done(attempt(() => Object.keys(networkInterfaces()))),
  program: async (run) =>
    done(
      attempt(() => {
        const { status, stdout, stderr, error } = spawnSync('/bin/sh', ['-c', param(run, 'script')], {
          encoding: 'utf8',
        })
        if (error) throw error
        return { status, output: (stdout + stderr).slice(0, 2_000) }
      }),
    ),
  background: async (run) => {
    spawn('/bin/sh', ['-c', param(run, 'script')], { detached: true, stdio: 'ignore' }).unref()
    return done('started')
  },
  'exhaust-memory': async () => {
    const kept: Buffer[] = []
    for (;;) {
      kept.push(Buffer.alloc(16 * 1024 ** 2, 1))
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  },
  'exhaust-heap': async () => {
    const kept: unknown[] = []
    for (;;) kept.push(Array.from({ length: 1_000 }, (_, i) => ({ i, text: `${i}` })))
  },
  loop: async () => {
    for (;;);
  },
  sleep: () => new Promise((resolve) => setTimeout(() => resolve(done('slept')), 60_000)),
  'ignore-signals': async () => {
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => {})
    for (;;);
  },
  'flood-disk': async (run) => {
    for (let i = 0; ; i++) {
      await writeFile(path.join(run.outputFolder, `${i}.bin`), Buffer.alloc(4 * 1024 ** 2, i))
    }
  },
  'flood-names': async (run) => {
    for (let i = 0; ; i++) writeFileSync(path.join(run.outputFolder, `${i}`), '')
  },
  sparse: async (run) => {
    const file = path.join(run.outputFolder, 'sparse')
    writeFileSync(file, '')
    const result = attempt(() => truncateSync(file, 1024 ** 4))
    await new Promise((resolve) => setTimeout(resolve, Number(run.parameters['waitMs'] ?? 0)))
    return done(result, [text('sparse')])
  },
  'flood-stderr': async () => {
    for (;;) writeSync(2, Buffer.alloc(64 * 1024, 'x'))
  },
  'flood-line': async () => {
    for (;;) {
      try {
        writeSync(3, Buffer.alloc(64 * 1024, 'x'))
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
  },
  'garbage-line': async () => {
    writeSync(3, '{"token":"guess","outcome":{"kind":"done"}}\n')
    return done('late')
  },
  'two-answers': async () => {
    setTimeout(() => writeSync(3, '{"token":"guess","outcome":1}\n'), 5)
    return done('first')
  },
  'close-line': async () => {
    process.kill(process.pid, 'SIGTERM')
    return new Promise(() => {})
  },
  exit: async () => process.exit(0),
  throw: async () => {
    throw new TypeError('a bug in the processor')
  },
  'reject-later': async () => {
    void Promise.reject(new Error('nobody waits for this'))
    return new Promise(() => {})
  },
  pollute: async (run) => {
    writeSync(3, '')
    return JSON.parse(
      `{"kind":"done","outputs":[],"result":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"depth":${JSON.stringify(run.parameters)}}}`,
    ) as ProcessorOutcome
  },
  deep: async () => {
    let nested: unknown = 'bottom'
    for (let i = 0; i < 2_000; i++) nested = [nested]
    return done(nested)
  },
  large: async (run) => done('x'.repeat(Number(run.parameters['length']))),
  outcome: async (run) => run.parameters['outcome'] as ProcessorOutcome,
  symlink: async (run) => {
    const made = attempt(() => symlinkSync(param(run, 'target'), path.join(run.outputFolder, 'link.txt')))
    return done(made, [text('link.txt')])
  },
  'symlink-folder': async (run) => {
    const made = attempt(() => symlinkSync(param(run, 'target'), path.join(run.outputFolder, 'folder')))
    return done(made, [text(`folder/${param(run, 'name')}`)])
  },
  'hard-link': async (run) => {
    const made = attempt(() => linkSync(param(run, 'target'), path.join(run.outputFolder, 'hard.txt')))
    return done(made, [text('hard.txt')])
  },
  fifo: async (run) => {
    const made = attempt(() => spawnSync('/usr/bin/mkfifo', [path.join(run.outputFolder, 'fifo.txt')]).status)
    return done(made, [text('fifo.txt')])
  },
  climb: async (run) => done('climbed', [text(param(run, 'path'))]),
  'many-files': async (run) => {
    const count = Number(run.parameters['count'])
    for (let i = 0; i < count; i++) writeFileSync(path.join(run.outputFolder, `${i}.txt`), 'x')
    return done(
      count,
      Array.from({ length: count }, (_, i) => text(`${i}.txt`)),
    )
  },
  'swap-folders': async (run) => {
    const moved = await rename(run.outputFolder, `${run.outputFolder}-moved`).then(
      () => 'moved',
      (error: NodeJS.ErrnoException) => `refused: ${error.code}`,
    )
    return done({
      moved,
      input: attempt(() => writeFileSync(path.join(path.dirname(run.outputFolder), 'in', 'x'), 'x')),
    })
  },
  'write-bytes': async (run) => {
    writeFileSync(path.join(run.outputFolder, 'bytes.txt'), Buffer.alloc(Number(run.parameters['bytesCount']), 'x'))
    return done('written', [text('bytes.txt')])
  },
  'write-text': async (run) => {
    writeFileSync(path.join(run.outputFolder, 'file'), param(run, 'text'))
    return done('written', [{ path: 'file', name: 'file', contentType: param(run, 'contentType') }])
  },
  plant: async (run) => {
    const env = { OUT: run.outputFolder, PATH: process.env['PATH'] }
    const { status, stderr } = spawnSync('/bin/sh', ['-c', param(run, 'script')], { env, encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    return done('planted', [text(param(run, 'path'))])
  },
  leftovers: async (run) => {
    const folder = path.dirname(run.outputFolder)
    return done({
      input: readdirSync(path.join(folder, 'in')),
      output: readdirSync(run.outputFolder),
      scratch: readdirSync(run.scratchFolder),
    })
  },
  nap: (run) => new Promise((resolve) => setTimeout(() => resolve(done('rested')), Number(run.parameters['ms']))),
  'deep-folder': async (run) => {
    let folder = run.scratchFolder
    for (let i = 0; i < 200; i++) mkdirSync((folder = path.join(folder, 'd')))
    return done('made')
  },
  'lock-folder': async (run) => {
    const folder = path.join(run.scratchFolder, 'locked')
    mkdirSync(folder)
    writeFileSync(path.join(folder, 'file'), 'x')
    chmodSync(folder, 0)
    return done('locked')
  },
}

export const runs: Record<string, () => Promise<{ run: SandboxedProcessor }>> = Object.fromEntries(
  Object.entries(processors).map(([name, run]) => [name, async () => ({ run })]),
)
