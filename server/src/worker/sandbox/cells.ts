// The sandbox over a launcher: which cell serves which task. Warm cells wait for the next task of their tenant; one
// blank cell waits for whoever comes first, so that a new tenant's file does not wait for a Node to start.

import path from 'node:path'
import type { Clock } from '../../platform/clock.ts'
import type { Log } from '../../platform/log.ts'
import { invariant } from '../../platform/problem.ts'
import { closeCell, emptyCell, openCell, runInCell, type Cell } from './cell.ts'
import { createKeptInputs } from './kept-inputs.ts'
import type { Launcher } from './launcher.ts'
import type { Sandbox, SandboxFolders } from './sandbox.ts'

export interface CellsOptions {
  launcher: Launcher
  /** Private to this process; cells are folders in it. */
  folder: string
  /** Warm children that may wait for work, beside the blank one. */
  idleCellsMax: number
  /** A cell to begin with, e.g. the one that was used to see that the launcher works. */
  blank?: Cell
  clock: Clock
  log: Log
  /** Called once by close, after the last cell is gone. */
  onClose(): Promise<void>
}

const idleMsMax = 60_000
const sweepEveryMs = 10_000

export function createCells(options: CellsOptions): Sandbox {
  const { launcher, clock, log } = options
  const keptInputs = createKeptInputs({ folder: options.folder, clock })
  const idle = new Set<Cell>()
  const busy = new Map<string, Cell>() // by output folder
  const closing = new Set<Promise<void>>()
  let blank: Promise<Cell> | undefined = options.blank && Promise.resolve(options.blank)
  let cellsCount = 1
  let closed: Promise<void> | undefined

  const open = (startsPrograms: boolean): Promise<Cell> =>
    openCell({ launcher, folder: path.join(options.folder, String(cellsCount++)), startsPrograms })

  const discard = (cell: Cell): void => {
    const done = closeCell(cell)
      .catch((error: unknown) => log.warn('sandbox.close_failed', { error: String(error) }))
      .finally(() => closing.delete(done))
    closing.add(done)
  }

  const refillBlank = (): void => {
    if (closed !== undefined || blank !== undefined) return
    blank = open(false)
    blank.catch((error: unknown) => {
      blank = undefined
      log.warn('sandbox.blank_failed', { error: String(error) })
    })
  }

  const takeBlank = async (): Promise<Cell> => {
    const taken = blank
    blank = undefined
    setImmediate(refillBlank)
    const cell = await (taken ?? open(false))
    // It may have ended while it waited.
    return cell.line.isBroken() ? (discard(cell), open(false)) : cell
  }

  const takeWarm = async (tenantId: number, processor: string | undefined): Promise<Cell> => {
    const own = [...idle].filter((cell) => cell.tenantId === tenantId).toReversed()
    const hasRun = (cell: Cell): boolean => processor !== undefined && cell.processors.has(processor)
    for (const cell of [...own.filter(hasRun), ...own.filter((cell) => !hasRun(cell))]) {
      idle.delete(cell)
      if (!cell.line.isBroken()) return cell
      discard(cell)
    }
    const cell = await takeBlank()
    cell.tenantId = tenantId
    return cell
  }

  const giveBack = async (cell: Cell): Promise<void> => {
    busy.delete(cell.outputFolder)
    if (cell.spent || closed !== undefined) return closeCell(cell)
    try {
      await emptyCell(cell)
    } catch (error) {
      log.warn('sandbox.empty_failed', { error: String(error) })
      return closeCell(cell)
    }
    cell.idleSinceMs = clock.monotonicMs()
    idle.add(cell)
    const [oldest] = idle
    if (idle.size > options.idleCellsMax && oldest !== undefined) {
      idle.delete(oldest)
      discard(oldest)
    }
  }

  const sweep = setInterval(() => {
    for (const cell of idle) {
      if (clock.monotonicMs() - cell.idleSinceMs < idleMsMax) continue
      idle.delete(cell)
      discard(cell)
    }
  }, sweepEveryMs).unref()

  const close = async (): Promise<void> => {
    clearInterval(sweep)
    const waiting = await blank?.catch(() => undefined)
    const cells = [...idle, ...busy.values(), ...(waiting === undefined ? [] : [waiting])]
    idle.clear()
    busy.clear()
    for (const cell of cells) discard(cell)
    await Promise.all(closing)
    keptInputs.close()
    await options.onClose()
  }

  return {
    level: launcher.level,
    description: launcher.description,
    keptInputs,
    async prepare(_taskId, tenantId, { isolation = 'warm', processor } = {}): Promise<SandboxFolders> {
      invariant(closed === undefined, 'no task is prepared in a closed sandbox')
      const cell = isolation === 'warm' ? await takeWarm(tenantId, processor) : await open(true)
      cell.tenantId = tenantId
      if (processor !== undefined) cell.processors.add(processor)
      busy.set(cell.outputFolder, cell)
      const { inputFolder, outputFolder, scratchFolder } = cell
      let removed: Promise<void> | undefined
      return { inputFolder, outputFolder, scratchFolder, remove: () => (removed ??= giveBack(cell)) }
    },
    async run(task) {
      const cell = busy.get(task.run.outputFolder)
      if (cell === undefined) return { kind: 'aborted' } // The sandbox was closed meanwhile.
      invariant(cell.tenantId === task.tenantId, 'a cell serves one tenant')
      return await runInCell(cell, task)
    },
    close: () => (closed ??= close()),
  }
}
