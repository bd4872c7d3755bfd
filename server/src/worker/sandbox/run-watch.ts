// Watches one run from outside: its time, the memory and number of its processes, and what it writes. Short runs end
// before the first look, so that they pay nothing for it.

import { measureFolder } from './beneath.ts'
import type { LaunchedChild } from './launcher.ts'
import type { SandboxEnd, SandboxTask } from './sandbox.ts'

export type Stop = Exclude<SandboxEnd, { kind: 'outcome' }>

export interface RunWatch {
  /** Resolves with the first reason to end the run; never, when there is none. */
  readonly stopped: Promise<Stop>
  /** Largest memory seen. */
  peakBytes(): number
  end(): void
}

const lookAfterMs = 50
const lookEveryMs = 100
const looksPerFolderLook = 3 // Counting files costs more than counting pages.
const processesMax = 200
export const outputFilesMaxDefault = 10_000
/** Room for spilling and for unpacking what does not fit into memory. */
const scratchBytesMax = 16 * 1024 ** 3
const scratchFilesMax = 100_000

export function watchRun(task: SandboxTask, child: LaunchedChild): RunWatch {
  const { promise: stopped, resolve: stop } = Promise.withResolvers<Stop>()
  let peakBytes = 0
  let looksCount = 0
  let ended = false
  let timer: NodeJS.Timeout

  const look = async (): Promise<void> => {
    const usage = await child.usage()
    peakBytes = Math.max(peakBytes, usage.memoryBytes)
    if (peakBytes > task.memoryBytes) return stop({ kind: 'memory' })
    if (usage.pids.length > processesMax) return stop({ kind: 'crashed', detail: 'it started too many processes' })
    if (++looksCount % looksPerFolderLook === 0 && (await writesTooMuch(task))) return stop({ kind: 'output' })
    if (!ended) timer = setTimeout(lookSafely, lookEveryMs)
  }
  const lookSafely = (): void => void look().catch((error: unknown) => stop({ kind: 'crashed', detail: String(error) }))
  const abort = (): void => stop({ kind: 'aborted' })

  timer = setTimeout(lookSafely, lookAfterMs)
  const timeout = setTimeout(() => stop({ kind: 'timeout' }), task.timeoutMs)
  task.signal.addEventListener('abort', abort, { once: true })
  if (task.signal.aborted) abort()
  return {
    stopped,
    peakBytes: () => peakBytes,
    end() {
      ended = true
      clearTimeout(timer)
      clearTimeout(timeout)
      task.signal.removeEventListener('abort', abort)
    },
  }
}

async function writesTooMuch({
  run,
  outputBytesMax,
  outputFilesMax = outputFilesMaxDefault,
}: SandboxTask): Promise<boolean> {
  const output = await measureFolder(run.outputFolder, outputFilesMax)
  if (output.sizeBytes > outputBytesMax || output.entriesCount > outputFilesMax) return true
  const scratch = await measureFolder(run.scratchFolder, scratchFilesMax)
  return scratch.sizeBytes > scratchBytesMax || scratch.entriesCount > scratchFilesMax
}
