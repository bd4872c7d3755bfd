// One attempt at one task: inputs into the sandbox, the processor's work, outputs out of it. Ends in an outcome for
// the engine, whatever happens; only a lost lease ends in none.

import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { Problem } from '../platform/problem.ts'
import type { Processor, SandboxedProcessor, SandboxRun } from '../pipeline/processor.ts'
import type { TaskAssignment, TaskOutcome } from '../processing/task.ts'
import type { SealedObject } from '../storage/vault.ts'
import { toInputFile, writeInputs, type InputSources } from './inputs.ts'
import { readOutcome } from './outcome.ts'
import { storeOutputs } from './outputs.ts'
import { errorCode } from './sandbox/beneath.ts'
import type { Sandbox, SandboxEnd, SandboxFolders } from './sandbox/sandbox.ts'

export interface TaskRunDependencies extends InputSources {
  sandbox: Sandbox
  processors: Readonly<Record<string, Processor | undefined>>
  /** Work of the processors that never open bytes; of the others it is loaded in the sandbox only. */
  runs: Readonly<Record<string, (() => Promise<{ run: SandboxedProcessor }>) | undefined>>
  clock: Clock
  log: Log
}

/** Why a task is stopped from outside; the reason of its signal. */
export type StopReason = 'cancelled' | 'lost' | 'shutdown'

export interface TaskRun {
  /** undefined: the lease is lost, and there is nobody to tell. */
  outcome: TaskOutcome | undefined
  /** What the outcome refers to in the store. */
  stored: SealedObject[]
  /** Lets go of the folders. */
  release(): Promise<void>
}

export async function runTask(deps: TaskRunDependencies, task: TaskAssignment, signal: AbortSignal): Promise<TaskRun> {
  const startedMs = deps.clock.monotonicMs()
  const durationMs = (): number => Math.round(deps.clock.monotonicMs() - startedMs)
  const attempt: Attempt = { deps, task, signal, durationMs, stored: [], folders: undefined }
  let outcome: TaskOutcome | undefined
  try {
    outcome = signal.aborted ? stoppedOutcome(signal) : await attemptTask(attempt)
  } catch (error) {
    outcome = signal.aborted ? stoppedOutcome(signal) : failedOutcome(attempt, error)
  }
  if (outcome?.kind !== 'done') await removeObjects(deps, attempt.stored)
  return {
    outcome,
    stored: outcome?.kind === 'done' ? attempt.stored : [],
    release: async () => {
      await attempt.folders?.remove().catch((error: unknown) => deps.log.warn('task.release_failed', { error }))
    },
  }
}

interface Attempt {
  deps: TaskRunDependencies
  task: TaskAssignment
  signal: AbortSignal
  readonly durationMs: () => number
  stored: SealedObject[]
  folders: SandboxFolders | undefined
}

async function attemptTask(attempt: Attempt): Promise<TaskOutcome | undefined> {
  const { deps, task, signal } = attempt
  const processor = deps.processors[task.input.processor]
  if (processor === undefined)
    throw new Problem('processor_unavailable', { detail: 'This release has no such processor.' })
  if (processor.isolation === 'supervisor') return await runHere(attempt, processor)
  const { sandbox } = deps
  const folders = await sandbox.prepare(task.taskId, task.tenantId, {
    isolation: processor.isolation,
    processor: processor.name,
  })
  attempt.folders = folders
  const files = await writeInputs(deps, task, { folder: folders.inputFolder, keptInputs: sandbox.keptInputs, signal })
  const end = await sandbox.run({
    processor: processor.name,
    tenantId: task.tenantId,
    run: { ...toRun(task), files, outputFolder: folders.outputFolder, scratchFolder: folders.scratchFolder },
    timeoutMs: task.input.timeoutMs,
    memoryBytes: task.input.memoryBytes,
    outputBytesMax: processor.limits.outputBytesMax,
    outputFilesMax: processor.limits.outputFilesMax + undeclaredFilesMax,
    signal,
  })
  return await settle(attempt, { end, processor, outputFolder: folders.outputFolder })
}

/** Processors write beside their outputs what they remove again. */
const undeclaredFilesMax = 100

/** Collect, index, archive: small work on facts, given no byte of any file. */
async function runHere(attempt: Attempt, processor: Processor): Promise<TaskOutcome | undefined> {
  const { deps, task } = attempt
  const load = deps.runs[processor.name]
  if (load === undefined) throw new Problem('processor_unavailable', { detail: 'This release has no such processor.' })
  const { run } = await load()
  const files = task.input.files.map((file) => toInputFile(file, ''))
  const outcome = await run({ ...toRun(task), files, outputFolder: '', scratchFolder: '' })
  return await settle(attempt, { end: { kind: 'outcome', outcome }, processor, outputFolder: '' })
}

const toRun = ({ input, file, results }: TaskAssignment): Pick<SandboxRun, 'parameters' | 'file' | 'results'> => ({
  parameters: input.parameters,
  file: {
    name: file.name,
    contentType: file.contentType,
    ...(file.declaredType !== undefined && { declaredType: file.declaredType }),
    sizeBytes: file.sizeBytes,
    sha256: file.sha256,
    metadata: file.metadata,
    depth: file.depth,
  },
  results,
})

interface Ended {
  end: SandboxEnd
  processor: Processor
  outputFolder: string
}

async function settle(attempt: Attempt, { end, processor, outputFolder }: Ended): Promise<TaskOutcome | undefined> {
  const { deps, task, signal, durationMs } = attempt
  switch (end.kind) {
    case 'aborted':
      return stoppedOutcome(signal)
    case 'timeout':
      throw new Problem('time_limit_exceeded', { detail: `The step may take ${task.input.timeoutMs / 1000} s.` })
    case 'memory':
      throw new Problem('memory_limit_exceeded', {
        detail: `The step may use ${Math.round(task.input.memoryBytes / 1024 ** 2)} MiB.`,
      })
    case 'output':
      throw new Problem('output_limit_exceeded')
    case 'crashed':
      deps.log.warn('task.processor_crashed', { ...idsOf(task), processor: processor.name, detail: end.detail })
      throw new Problem('processor_crashed')
    case 'outcome': {
      const outcome = readOutcome(end.outcome, processor.limits)
      if (outcome.kind === 'reject') throw new Problem(outcome.code, { detail: outcome.detail })
      if (outcome.kind === 'retryLater') {
        const { detail, afterMs } = outcome
        return { kind: 'retry', code: 'processor_unavailable', detail, afterMs, durationMs: durationMs() }
      }
      const { kind, outputs: files, ...found } = outcome
      const outputs = await storeOutputs(files, {
        vault: deps.vault,
        tenantId: task.tenantId,
        storeFolder: `results/${task.jobId}/${task.taskId}/${task.epoch}`,
        outputFolder,
        bytesMax: processor.limits.outputBytesMax,
        signal,
        onStored: (object) => attempt.stored.push(object),
      })
      return { kind, outputs, ...found, durationMs: durationMs() }
    }
  }
}

/** undefined for a lost lease. */
function stoppedOutcome(signal: AbortSignal): TaskOutcome | undefined {
  const reason = signal.reason as StopReason // Given by the task loop, the only one who aborts.
  if (reason === 'lost') return undefined
  return reason === 'cancelled' ? { kind: 'cancelled' } : { kind: 'release' }
}

const diskFullCodes = ['ENOSPC', 'EDQUOT']

/** The world's faults: the same task may end well another time or elsewhere. */
const worldCodes = new Set([
  'storage_unavailable',
  'storage_full',
  'database_unavailable',
  'disk_full',
  'overloaded',
  'processor_crashed',
  'shutting_down',
  'internal',
])

function failedOutcome({ deps, task, durationMs }: Attempt, error: unknown): TaskOutcome {
  const problem = toProblem(error)
  if (problem.code === 'internal') deps.log.error('task.failed', { ...idsOf(task), error })
  const { code, message: detail } = problem
  return { kind: worldCodes.has(code) ? 'retry' : 'reject', code, detail, durationMs: durationMs() }
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem)
    // While the task waited. Of the file it says the same: its content is lost.
    return error.code === 'key_destroyed'
      ? new Problem('object_damaged', { detail: error.message, cause: error })
      : error
  if (diskFullCodes.includes(errorCode(error) ?? '')) return new Problem('disk_full', { cause: error })
  return new Problem('internal', { cause: error })
}

/** Best effort: what remains is an orphan that nothing refers to. */
export async function removeObjects(
  deps: Pick<TaskRunDependencies, 'vault' | 'log'>,
  objects: readonly SealedObject[],
): Promise<void> {
  for (const object of objects)
    await deps.vault
      .remove(object)
      .catch((error: unknown) => deps.log.warn('task.remove_failed', { objectId: object.objectId, error }))
}

export const idsOf = ({ tenantId, jobId, taskId, attempt }: TaskAssignment) => ({ tenantId, jobId, taskId, attempt })
