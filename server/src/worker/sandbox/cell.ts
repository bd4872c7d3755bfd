// One cell: three folders and the child that sees them. A cell belongs to one tenant from its first task on, holds one
// task at a time, and ends with its child.

import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { clearFolder } from './beneath.ts'
import { createChildLine, type ChildLine } from './child-line.ts'
import type { CellFolders, LaunchedChild, Launcher } from './launcher.ts'
import type { SandboxEnd, SandboxTask } from './sandbox.ts'
import { watchRun, type RunWatch } from './run-watch.ts'

export interface Cell extends CellFolders {
  readonly startsPrograms: boolean
  /** undefined: it has served nobody yet. */
  tenantId: number | undefined
  readonly child: LaunchedChild
  readonly line: ChildLine
  /** Why it must serve no further task. */
  spent: boolean
  tasksCount: number
  /** What it was prepared for, and so has loaded. */
  readonly processors: Set<string>
  idleSinceMs: number
}

const startTimeoutMs = 20_000
const endsWithinMs = 500
const tasksMax = 500
/** Of its limit, from which on a task that was killed is taken for the cause. */
const blameShare = 0.5
const rssBytesMax = 768 * 1024 ** 2 // A Node with its image and table libraries warm stays below a half of it.

export async function openCell(options: {
  launcher: Launcher
  folder: string
  startsPrograms: boolean
}): Promise<Cell> {
  const { launcher, folder, startsPrograms } = options
  const inFolder = (name: string): string => path.join(folder, name)
  const folders = {
    folder,
    inputFolder: inFolder('in'),
    outputFolder: inFolder('out'),
    scratchFolder: inFolder('scratch'),
  }
  await mkdir(folder, { mode: 0o700 })
  for (const name of ['in', 'out', 'scratch']) await mkdir(inFolder(name), { mode: 0o700 })
  const child = launcher.launch({ folders, startsPrograms })
  return {
    ...folders,
    startsPrograms,
    tenantId: undefined,
    child,
    line: createChildLine(child.line),
    spent: false,
    tasksCount: 0,
    processors: new Set(),
    idleSinceMs: 0,
  }
}

/** Runs one task; after anything but a clean end the child is gone when this resolves. */
export async function runInCell(cell: Cell, task: SandboxTask): Promise<SandboxEnd> {
  const end = await startedEnd(cell, task)
  cell.tasksCount++
  cell.spent ||= end.kind !== 'outcome' || cell.startsPrograms || cell.tasksCount >= tasksMax
  if (end.kind !== 'outcome' || cell.startsPrograms) await cell.child.kill()
  return end
}

async function startedEnd(cell: Cell, task: SandboxTask): Promise<SandboxEnd> {
  if (task.signal.aborted) return { kind: 'aborted' }
  const starting = new AbortController()
  const started = await Promise.race<SandboxEnd | 'ready'>([
    cell.line.ready.then(() => 'ready'),
    cell.line.broken.then(() => ({ kind: 'crashed', detail: 'the child ended before it could work' })),
    after(startTimeoutMs, starting.signal).then(() => ({ kind: 'crashed', detail: 'the child did not start' })),
    aborted(task.signal, starting.signal),
  ])
  starting.abort()
  if (started !== 'ready') return withLastWords(cell, started)
  const watch = watchRun(task, cell.child)
  try {
    const reply = cell.line.ask(task.processor, task.run)
    return await Promise.race([
      reply.then((reply): SandboxEnd => {
        if ('crashed' in reply) return { kind: 'crashed', detail: reply.crashed }
        cell.spent ||= reply.rssBytes > rssBytesMax
        return { kind: 'outcome', outcome: reply.outcome }
      }),
      cell.line.broken.then(async ({ misuse }): Promise<SandboxEnd> =>
        misuse === undefined ? await lostEnd(cell, watch, task) : { kind: 'crashed', detail: misuse },
      ),
      watch.stopped,
    ])
  } finally {
    watch.end()
  }
}

/** How a child ended that closed the line: for want of memory, or of a fault. */
async function lostEnd(cell: Cell, watch: RunWatch, task: SandboxTask): Promise<SandboxEnd> {
  // The line closes a moment before the process has ended.
  const ended = await Promise.race([cell.child.ended, after(endsWithinMs)])
  if (ended === undefined) return { kind: 'crashed', detail: 'the child closed its line' }
  // Nobody here has killed it yet: this was the kernel, for want of memory, or somebody's hand. A child that took little
  // is not to blame for either: it pays for others, and its task is worth another attempt.
  const wasKilled = ended.signal === 'SIGKILL' || ended.code === 137
  const tookMuch = watch.peakBytes() > task.memoryBytes * blameShare
  const ranOut = /out of memory|bad_alloc/i.test(cell.child.lastWords())
  if (ranOut || (wasKilled && tookMuch) || watch.peakBytes() > task.memoryBytes) return { kind: 'memory' }
  if (wasKilled) return { kind: 'crashed', detail: 'the child was killed from outside' }
  return withLastWords(cell, {
    kind: 'crashed',
    detail: `the child ended with ${ended.signal ?? `code ${ended.code}`}`,
  })
}

function withLastWords(cell: Cell, end: SandboxEnd): SandboxEnd {
  if (end.kind !== 'crashed') return end
  const words = cell.child.lastWords().trim().slice(-300)
  return words === '' ? end : { kind: 'crashed', detail: `${end.detail}: ${words}` }
}

/** Empties the cell for the tenant's next task. */
export async function emptyCell(cell: Cell): Promise<void> {
  for (const folder of [cell.inputFolder, cell.outputFolder, cell.scratchFolder]) await clearFolder(folder)
}

export async function closeCell(cell: Cell): Promise<void> {
  await cell.child.kill()
  await clearFolder(cell.folder, { self: true })
}

const after = (ms: number, signal?: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), ms)
    signal?.addEventListener('abort', () => clearTimeout(timer), { once: true })
  })

const aborted = (signal: AbortSignal, until: AbortSignal): Promise<SandboxEnd> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve({ kind: 'aborted' }), { once: true, signal: until })
  })
