// What is started, skipped or failed when steps of jobs have ended, with as few statements as the decisions need, however
// many jobs there are. The decisions are job-graph.ts'; here is read what they need and written what they say.

import { invariant } from '../platform/problem.ts'
import type { Catalogue } from './catalogue.ts'
import { conditionOutputsCountMax, evaluateCondition, type ConditionFacts } from './condition.ts'
import { memoryClasses, type StepDefinition } from './definition.ts'
import type {
  EngineFile,
  EngineTx,
  Expansion,
  NewTask,
  ResultLimits,
  StepOutput,
  StoredProblem,
} from './engine-store.ts'
import type { Estimates } from './estimates.ts'
import type { JobGraph } from './job-graph.ts'
import { resolveSources } from './step-inputs.ts'
import type { TaskInput, TaskInputFile } from './task.ts'

export interface AdvanceDependencies {
  catalogue: Catalogue
  estimates: Estimates
}

/** More tasks than this a step is not split into. */
export const fanOutCountMax = 1_000_000
/** Tasks of a fan-out that are created at once; the rest follows in transactions of their own. */
export const expandChunkCount = 10_000
/** More files than this a single task does not read. */
export const inputFilesCountMax = 10_000
/** What a condition or a task is shown of the results before it. */
export const resultLimits: ResultLimits = { count: 1_000, bytes: 64 * 1024 }

interface Ready {
  graph: JobGraph
  name: string
  step: StepDefinition
}

type Decision =
  | { kind: 'skip' }
  | { kind: 'fail'; problem: StoredProblem }
  | { kind: 'run'; files: TaskInputFile[] }
  | { kind: 'split'; count: number; files: TaskInputFile[]; sizeBytes: number }

/** Ends, skips and starts steps until nothing follows any more; answers the tasks that are to be inserted. */
export async function advanceJobs(
  tx: EngineTx,
  graphs: readonly JobGraph[],
  deps: AdvanceDependencies,
  files = new Map<number, EngineFile>(),
): Promise<NewTask[]> {
  const tasks: NewTask[] = []
  for (;;) {
    for (const graph of graphs) graph.endSteps()
    const ready: Ready[] = []
    let skipped = false
    for (const graph of graphs) {
      for (const name of graph.readySteps()) {
        if (graph.hasBrokenNeed(name)) {
          graph.skipStep(name)
          skipped = true
        } else ready.push({ graph, name, step: graph.definitionOf(name) })
      }
    }
    if (ready.length > 0) await startSteps(tx, ready, { deps, files, tasks })
    else if (!skipped) return tasks
  }
}

interface Start {
  deps: AdvanceDependencies
  files: Map<number, EngineFile>
  tasks: NewTask[]
}

async function startSteps(tx: EngineTx, ready: readonly Ready[], start: Start): Promise<void> {
  const facts = await readFacts(tx, ready, start.files)
  for (const each of ready) {
    const { graph, name } = each
    const decision = decide(each, facts)
    switch (decision.kind) {
      case 'skip':
        graph.skipStep(name)
        break
      case 'fail':
        graph.failStep(name, decision.problem)
        break
      case 'run':
        graph.startStep(name, 1)
        start.tasks.push(toTask(each, decision.files, start.deps))
        break
      case 'split':
        graph.startStep(name, decision.count)
        if (decision.count > 0) await splitStep(tx, each, decision, start.deps)
        break
    }
  }
}

interface Facts {
  file(jobId: number): EngineFile | undefined
  outputsCount(jobId: number, step: string): { count: number; sizeBytes: number }
  outputs(jobId: number, step: string): StepOutput[]
  results(jobId: number, step: string): unknown
}

const keyOf = (jobId: number, step: string): string => `${jobId} ${step}`

/** At most four statements for all steps together; none for what nobody asks. */
async function readFacts(tx: EngineTx, ready: readonly Ready[], files: Map<number, EngineFile>): Promise<Facts> {
  const jobIds = [...new Set(ready.map(({ graph }) => graph.job.id))]
  const missing = jobIds.filter((id) => !files.has(id))
  if (missing.length > 0) for (const file of await tx.listFiles(missing)) files.set(file.jobId, file)
  // The first steps have nothing before them.
  const later = [...new Set(ready.filter(({ step }) => step.needs.length > 0).map(({ graph }) => graph.job.id))]
  const counts = new Map<string, { count: number; sizeBytes: number }>()
  if (later.length > 0) for (const row of await tx.countOutputs(later)) counts.set(keyOf(row.jobId, row.step), row)
  const outputsCount: Facts['outputsCount'] = (jobId, step) =>
    counts.get(keyOf(jobId, step)) ?? { count: 0, sizeBytes: 0 }

  const wanted = new Map<string, { jobId: number; step: string }>()
  const wantedResults = new Map<string, { jobId: number; step: string }>()
  for (const each of ready) {
    const { graph, step } = each
    const jobId = graph.job.id
    const countOf = (source: string): number => outputsCount(jobId, source).count
    const sources = sourcesOf(each, countOf).filter((source) => countOf(source) <= inputFilesCountMax)
    for (const source of [...sources, ...(step.if === undefined ? [] : step.needs)]) {
      if (source !== 'original' && countOf(source) > 0) wanted.set(keyOf(jobId, source), { jobId, step: source })
    }
    if (step.if === undefined) continue
    for (const need of step.needs) wantedResults.set(keyOf(jobId, need), { jobId, step: need })
  }
  const outputs = wanted.size === 0 ? [] : await tx.listOutputs([...wanted.values()], conditionOutputsCountMax)
  const results = wantedResults.size === 0 ? [] : await tx.listResults([...wantedResults.values()], resultLimits)
  const outputsBy = Map.groupBy(outputs, (output) => keyOf(output.jobId, output.from))
  const resultsBy = Map.groupBy(results, (result) => keyOf(result.jobId, result.step))
  const graphOf = new Map(ready.map(({ graph }) => [graph.job.id as number, graph]))
  return {
    file: (jobId) => files.get(jobId),
    outputsCount,
    outputs: (jobId, step) => outputsBy.get(keyOf(jobId, step)) ?? [],
    results: (jobId, step) => {
      const found = (resultsBy.get(keyOf(jobId, step)) ?? []).map(({ result }) => result)
      return graphOf.get(jobId)?.definitionOf(step).each === undefined ? (found[0] ?? null) : found
    },
  }
}

/** Where a step's files come from; what it goes through one by one is not among them. */
function sourcesOf({ graph, name, step }: Ready, outputsCount: (step: string) => number): string[] {
  if (step.each === undefined) return resolveSources(graph.definition, name, outputsCount)
  return (step.inputs ?? []).filter((source) => source !== step.each)
}

function decide(ready: Ready, facts: Facts): Decision {
  const { graph, step } = ready
  const jobId = graph.job.id
  const file = facts.file(jobId)
  if (file === undefined) return fail('not_found', 'The file of the job has been erased.')
  if (step.if !== undefined) {
    const verdict = evaluateCondition(step.if, conditionFacts(ready, file, facts))
    if ('error' in verdict) return fail('condition_failed', verdict.error)
    if (!verdict.holds) return { kind: 'skip' }
  }
  return decideFiles(ready, file, facts)
}

function decideFiles(ready: Ready, file: EngineFile, facts: Facts): Decision {
  const { graph, step } = ready
  const jobId = graph.job.id
  const counted = (source: string): number => facts.outputsCount(jobId, source).count
  const sources = graph.traitsOf(ready.name).stage === 'index' ? [] : sourcesOf(ready, counted)
  const filesCount = sources.reduce((sum, source) => sum + (source === 'original' ? 1 : counted(source)), 0)
  if (filesCount > inputFilesCountMax) {
    return fail('file_too_complex', `The step would read ${filesCount} files at once; at most ${inputFilesCountMax}.`)
  }
  const files = sources.flatMap((source): TaskInputFile[] =>
    source === 'original' ? [toOriginal(file)] : facts.outputs(jobId, source).map(toInputFile),
  )
  if (step.each === undefined) return { kind: 'run', files }
  const { count, sizeBytes } = facts.outputsCount(jobId, step.each)
  if (count > fanOutCountMax) {
    return fail('fan_out_too_large', `The step would be split into ${count} tasks; at most ${fanOutCountMax}.`)
  }
  return { kind: 'split', count, files, sizeBytes }
}

const fail = (code: StoredProblem['code'], detail: string): Decision => ({ kind: 'fail', problem: { code, detail } })

function conditionFacts({ graph, step }: Ready, file: EngineFile, facts: Facts): ConditionFacts {
  const jobId = graph.job.id
  return {
    file: {
      name: file.name,
      content_type: file.contentType,
      size_bytes: file.sizeBytes,
      metadata: file.metadata,
      depth: file.depth,
    },
    steps: Object.fromEntries(
      step.needs.map((need) => [
        need,
        {
          outputs: facts.outputs(jobId, need).map((output) => ({
            name: output.name,
            content_type: output.contentType,
            size_bytes: output.sizeBytes,
          })),
          result: facts.results(jobId, need),
          state: graph.step(need).state,
        },
      ]),
    ),
  }
}

const toOriginal = (file: EngineFile): TaskInputFile => ({
  name: file.name,
  contentType: file.contentType,
  sizeBytes: file.sizeBytes,
  sha256: file.sha256,
  objectId: file.objectId,
  from: 'original',
})

const toInputFile = ({ name, contentType, sizeBytes, sha256, objectId, from }: StepOutput): TaskInputFile => ({
  name,
  contentType,
  sizeBytes,
  sha256,
  objectId,
  from,
})

function toInput({ graph, name, step }: Ready, files: TaskInputFile[], { catalogue }: AdvanceDependencies): TaskInput {
  const entry = catalogue.find(step.uses)
  const { backoff } = step.retry ?? graph.definition.retry
  return {
    processor: step.uses,
    stage: graph.traitsOf(name).stage,
    parameters: step.with,
    files,
    // The worker refuses a processor that it does not have; what stands here does not matter then.
    timeoutMs: step.timeout_ms ?? entry?.limits.timeoutMs ?? 60_000,
    memoryBytes: step.memory === undefined ? (entry?.limits.memoryBytes ?? 0) : memoryClasses[step.memory],
    backoff: { initial_ms: backoff.initial_ms, max_ms: backoff.max_ms },
  }
}

function toTask(ready: Ready, files: TaskInputFile[], deps: AdvanceDependencies): NewTask {
  const { graph, name, step } = ready
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const costMs = deps.estimates.costMs(step.uses, sizeBytes)
  return {
    tenantId: graph.job.tenantId,
    jobId: graph.job.id,
    step: name,
    ordinal: 0,
    lane: graph.job.lane,
    rank: graph.takeRank(costMs),
    costMs,
    attemptsMax: (step.retry ?? graph.definition.retry).attempts,
    input: toInput(ready, files, deps),
  }
}

async function splitStep(
  tx: EngineTx,
  ready: Ready,
  split: Extract<Decision, { kind: 'split' }>,
  deps: AdvanceDependencies,
): Promise<void> {
  const { graph, step } = ready
  const extraBytes = split.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const costMs = deps.estimates.costMs(step.uses, split.sizeBytes / split.count + extraBytes)
  const rank = graph.takeRank(costMs * split.count)
  const expansion = toExpansion(ready, { files: split.files, first: { costMs, rank }, afterOutputId: 0, deps })
  graph.splitUpTo(ready.name, placeAfter(expansion, await tx.expandStep(expansion)))
}

interface Chunk {
  files: TaskInputFile[]
  /** Left out: of what the first task has. */
  first?: Expansion['first']
  afterOutputId: number
  deps: AdvanceDependencies
}

function toExpansion({ graph, name, step }: Ready, chunk: Chunk): Expansion {
  invariant(step.each !== undefined, 'only a step that fans out is split')
  const { tenantId, id: jobId, lane } = graph.job
  return {
    tenantId,
    jobId,
    step: name,
    each: step.each,
    lane,
    first: chunk.first,
    attemptsMax: (step.retry ?? graph.definition.retry).attempts,
    input: toInput({ graph, name, step }, chunk.files, chunk.deps),
    afterOutputId: chunk.afterOutputId,
    limit: expandChunkCount,
  }
}

/** Up to which output the step has been split; null when that was the last. */
export const placeAfter = (
  { limit }: Expansion,
  { count, lastOutputId }: Awaited<ReturnType<EngineTx['expandStep']>>,
): number | null => (count < limit ? null : lastOutputId)

/** The next tasks of a step that is still being split; its condition held when it was begun. */
export async function findExpansion(
  tx: EngineTx,
  graph: JobGraph,
  name: string,
  deps: AdvanceDependencies,
): Promise<Expansion | undefined> {
  const ready = { graph, name, step: graph.definitionOf(name) }
  const [file] = await tx.listFiles([graph.job.id])
  if (file === undefined) {
    graph.dropUncreated(name, await tx.countOpenTasks(graph.job.id, name))
    return undefined
  }
  const files = await listSharedFiles(tx, ready, file)
  return toExpansion(ready, { files, afterOutputId: graph.step(name).expandedTo ?? 0, deps })
}

/** What each task of a step that fans out reads beside its own file. To count outputs takes as long as there are many. */
async function listSharedFiles(tx: EngineTx, ready: Ready, file: EngineFile): Promise<TaskInputFile[]> {
  const { step, graph } = ready
  if ((step.inputs ?? []).every((source) => source === step.each)) return []
  const decision = decideFiles(ready, file, await readFacts(tx, [ready], new Map([[graph.job.id, file]])))
  invariant(decision.kind === 'split', 'a step that is being split was decided to be')
  return decision.files
}
