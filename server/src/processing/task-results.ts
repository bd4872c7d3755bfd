// What tasks that ended well leave behind: outputs, what they found out about the file, and the files of an archive.

import type { AdvanceDependencies } from './advance.ts'
import type { EngineFile, EngineTx } from './engine-store.ts'
import type { JobGraph } from './job-graph.ts'
import { outputNameCandidates } from './output-names.ts'
import type { EndedTask } from './settlement.ts'
import { startJob } from './start-jobs.ts'
import type { TaskOutput } from './task.ts'

/** Archives within archives. */
const depthMax = 10

/** Thrown out of a transaction whose task asks for what it cannot have; the task is to be rejected with this instead. */
export class RefusedOutcome extends Error {
  readonly taskId: number
  readonly code: 'archive_unsafe' | 'quota_exceeded'
  constructor(taskId: number, code: 'archive_unsafe' | 'quota_exceeded', detail: string) {
    super(detail)
    this.taskId = taskId
    this.code = code
  }
}

export interface EndedWell {
  graph: JobGraph
  task: EndedTask
  result: unknown
  outputs: TaskOutput[]
  file: EngineFile | undefined
}

/** Throws RefusedOutcome for a task that cannot have what it asks for. */
export async function writeResults(
  tx: EngineTx,
  ended: readonly EndedWell[],
  deps: AdvanceDependencies,
): Promise<void> {
  await writeOutputs(tx, ended, deps)
  for (const each of ended) await applyResult(tx, each)
  const sealing = ended.filter(({ outputs }) => outputs.some((output) => output.as === 'file'))
  for (const each of sealing) await sealMembers(tx, each, deps)
}

/** Whoever settles a task is the worker that ran it, so the catalogue is that of what ran. */
function processorOf(graph: JobGraph, step: string, { catalogue }: AdvanceDependencies) {
  const { uses } = graph.definitionOf(step)
  return { processor: uses, processor_version: catalogue.find(uses)?.version ?? null }
}

async function writeOutputs(tx: EngineTx, ended: readonly EndedWell[], deps: AdvanceDependencies): Promise<void> {
  const outputs = ended.flatMap(({ graph, task, outputs }) =>
    outputs
      .filter((output) => output.as === 'output')
      .map((output, index) => ({
        graph,
        task,
        output,
        candidates: outputNameCandidates(output.name, task, index + 1),
      })),
  )
  if (outputs.length === 0) return
  const taken = new Map<number, Set<string>>()
  for (const [jobId, group] of Map.groupBy(outputs, ({ graph }) => graph.job.id)) {
    taken.set(
      jobId,
      await tx.findOutputNames(
        jobId,
        group.flatMap(({ candidates }) => candidates),
      ),
    )
  }
  await tx.insertOutputs(
    outputs.map(({ graph, task, output, candidates }) => {
      const { id: jobId, tenantId } = graph.job
      const names = taken.get(jobId) ?? new Set()
      const name = candidates.find((candidate) => !names.has(candidate)) ?? candidates.at(-1) ?? output.name
      names.add(name)
      const { contentType, object } = output
      const { processor, processor_version: processorVersion } = processorOf(graph, task.step, deps)
      return {
        tenantId,
        jobId,
        taskId: task.taskId,
        step: task.step,
        name,
        contentType,
        object,
        processor,
        processorVersion,
      }
    }),
  )
}

async function applyResult(tx: EngineTx, { graph, task, result, file }: EndedWell): Promise<void> {
  if (file === undefined || !file.current) return
  const { fileId, fileVersion: version, tenantId, id: jobId } = graph.job
  const step = graph.definitionOf(task.step)
  const { stage } = graph.traitsOf(task.step)
  if ((stage === 'analyze' || stage === 'validate') && step.each === undefined && result !== null) {
    await tx.effects.addFound({ fileId, version, step: task.step, found: result })
  }
  if (step.uses === 'search.index')
    await tx.effects.indexFile({ tenantId, fileId, version, jobId, found: entryOf(result) })
  if (stage === 'archive' && typeof result === 'object' && result !== null && 'storage_class' in result) {
    const { storage_class: storageClass } = result
    if (typeof storageClass === 'string') await tx.effects.setStorageClass({ fileId, version, storageClass })
  }
}

/** What the indexing step chose of all that was found; search.index of pipeline/ tells it so. */
function entryOf(result: unknown): Record<string, unknown> | undefined {
  if (typeof result !== 'object' || result === null || !('metadata' in result)) return undefined
  const { metadata } = result
  return typeof metadata === 'object' && metadata !== null ? { ...metadata } : undefined
}

/** Each file of an archive, with its job. */
async function sealMembers(
  tx: EngineTx,
  { graph, task, outputs, file }: EndedWell,
  deps: AdvanceDependencies,
): Promise<void> {
  const { tenantId, fileId, createdBy, id: parentJobId } = graph.job
  const depth = (file?.depth ?? 0) + 1
  if (depth > depthMax) throw new RefusedOutcome(task.taskId, 'archive_unsafe', 'Archives are nested too deep.')
  const files = outputs.filter((output) => output.as === 'file')
  const made = { job_id: parentJobId, step: task.step, ...processorOf(graph, task.step, deps) }
  const members = await tx.effects.sealMembers({ tenantId, parentFileId: fileId, depth, createdBy, made, files })
  if (members === false) {
    const detail = `The quota has no room for the ${files.length} files of this archive.`
    throw new RefusedOutcome(task.taskId, 'quota_exceeded', detail)
  }
  for (const member of members) {
    const { name, contentType, object } = member
    await startJob(tx, deps, {
      tenantId,
      fileId: member.fileId,
      fileVersion: member.version,
      pipelineVersionId: member.pipelineVersionId,
      definition: member.definition,
      parentJobId,
      lane: graph.job.lane,
      createdBy,
      file: {
        name,
        contentType,
        sizeBytes: object.sizeBytes,
        sha256: object.sha256,
        objectId: object.objectId,
        metadata: {},
        depth,
      },
    })
  }
}
