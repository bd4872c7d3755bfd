// What the tenants of a history want: pipelines of two to eight steps with fan-outs, joins and conditions, and jobs of
// them that arrive at their moments.

import { lanes, stageNames, type Lane, type StageName } from '@millrace/contract'
import type { Catalogue } from '../../processing/catalogue.ts'
import type { PipelineDefinition, StepDefinition } from '../../processing/definition.ts'
import type { Faults } from './faults.ts'
import type { Random } from './random.ts'

export interface SimulatedTenant {
  tenantId: number
  weight: number
  runningMax: number
  startsPerSecond: number | null
}

export interface PlannedJob {
  tenantId: number
  pipelineVersionId: number
  lane: Lane
  atMs: number
  /** After its submission; left out: never. */
  cancelAfterMs?: number
  /** After its submission, and for how long; left out: never. */
  pause?: { afterMs: number; forMs: number }
  /** What is asked when it has ended, and how many times. */
  again: 'retry' | 'replay' | undefined
  againCount: number
  pollMs: number
}

export interface Workload {
  tenants: SimulatedTenant[]
  definitions: PipelineDefinition[]
  jobs: PlannedJob[]
  workers: { slots: number }[]
  leadersCount: number
}

/** A processor is named stage.cost, so that steps of one stage differ in what they cost. */
export const simulatedCatalogue: Catalogue = {
  entries: [],
  find(name) {
    const [stage, cost] = name.split('.')
    if (!(stageNames as readonly string[]).includes(stage ?? '')) return undefined
    return {
      name,
      stage: stage as StageName, // One of the names, as was just seen.
      version: 1,
      summary: '',
      accepts: ['*/*'],
      parameters: {},
      limits: { memoryBytes: 1, timeoutMs: 1_000 },
      cost: { baseMs: Number(cost), perMbMs: 0 },
    }
  },
}

const stepsCountMax = 8
const jobsCountMax = 10
const crowdJobsCount = 72
const splitJobsCount = 8
const conditions = (need: string): string[] => [
  `size(steps["${need}"].outputs) > 1`,
  `steps["${need}"].state == "succeeded"`,
  'file.size_bytes > 1000',
  `steps["${need}"].nothing.at.all`,
]

export function chooseWorkload(random: Random, faults: Faults): Workload {
  const tenants = Array.from({ length: 1 + random.below(4) }, (_, index) => ({
    tenantId: index + 1,
    weight: 1 + random.below(4),
    runningMax: random.chance(0.5) ? 1 + random.below(random.chance(0.5) ? 4 : 50) : 1_000_000,
    startsPerSecond: random.chance(0.15) ? 4 + random.below(12) : null,
  }))
  const definitions = Array.from({ length: 1 + random.below(3) }, () => chooseDefinition(random))
  const kind = random.next()
  const jobs =
    kind < 0.03
      ? crowd(random, tenants, definitions)
      : kind < 0.1
        ? splits(random, tenants, definitions)
        : chooseJobs(random, { tenants, definitions, faults })
  const workers = Array.from({ length: 1 + random.below(3) }, () => ({ slots: 1 + random.below(4) }))
  return { tenants, definitions, jobs, workers, leadersCount: 1 + random.below(2) }
}

/** One tenant comes with a crowd, another with a few, all at once and in one lane. */
function crowd(random: Random, tenants: readonly SimulatedTenant[], definitions: PipelineDefinition[]): PlannedJob[] {
  const step = { uses: 'collect.1000', needs: [], with: {} }
  const retry = { attempts: 3, backoff: { initial_ms: 100, max_ms: 2_000 } }
  definitions.push({ name: 'simulated', accept: ['*/*'], on_failure: 'stop', steps: { s0: step }, retry })
  const first = random.pick(tenants)
  if (random.chance(0.5)) first.startsPerSecond = 5 + random.below(8)
  const lane = random.pick(lanes)
  return Array.from({ length: crowdJobsCount }, (_, index) => ({
    tenantId: index % 12 === 0 ? random.pick(tenants).tenantId : first.tenantId,
    pipelineVersionId: definitions.length,
    lane,
    atMs: 0,
    again: undefined,
    againCount: 0,
    pollMs: 2_000,
  }))
}

/** Fan-outs that are cancelled while they are being split, and tried again. */
function splits(random: Random, tenants: readonly SimulatedTenant[], definitions: PipelineDefinition[]): PlannedJob[] {
  const first = { uses: 'collect.10', needs: [], with: {} }
  const parts = { uses: 'transform.10', needs: ['s0'], each: 's0', with: {} }
  const retry = { attempts: 3, backoff: { initial_ms: 100, max_ms: 2_000 } }
  definitions.push({ name: 'simulated', accept: ['*/*'], on_failure: 'stop', steps: { s0: first, s1: parts }, retry })
  return Array.from({ length: splitJobsCount }, () => ({
    tenantId: random.pick(tenants).tenantId,
    pipelineVersionId: definitions.length,
    lane: random.pick(lanes),
    atMs: random.between(0, 500),
    cancelAfterMs: random.between(0, 1_500),
    again: 'retry' as const,
    againCount: 1,
    pollMs: random.between(200, 1_000),
  }))
}

function chooseJobs(
  random: Random,
  {
    tenants,
    definitions,
    faults,
  }: { tenants: readonly SimulatedTenant[]; definitions: readonly PipelineDefinition[]; faults: Faults },
): PlannedJob[] {
  return Array.from({ length: 1 + random.below(jobsCountMax) }, (): PlannedJob => {
    const again = random.chance(faults.jobRetried) ? 'retry' : random.chance(faults.jobReplayed) ? 'replay' : undefined
    return {
      tenantId: random.pick(tenants).tenantId,
      pipelineVersionId: 1 + random.below(definitions.length),
      lane: random.pick(lanes),
      atMs: random.chance(0.5) ? 0 : random.between(0, faults.endMs),
      ...(random.chance(faults.jobCancelled) && { cancelAfterMs: random.between(0, random.chance(0.5) ? 700 : 5_000) }),
      ...(random.chance(faults.jobPaused) && {
        pause: { afterMs: random.between(0, random.chance(0.5) ? 700 : 5_000), forMs: random.between(0, 3_000) },
      }),
      again,
      againCount: again === undefined ? 0 : 1 + random.below(2),
      pollMs: random.between(200, 3_000),
    }
  })
}

function chooseDefinition(random: Random): PipelineDefinition {
  const count = 2 + random.below(stepsCountMax - 1)
  const steps: Record<string, StepDefinition> = {}
  const names: string[] = []
  for (let index = 0; index < count; index++) {
    const stage = index === 0 ? 'collect' : index === count - 1 ? 'archive' : chooseStage(random)
    steps[`s${index}`] = chooseStep(random, { stage, names, isLast: index === count - 1 })
    names.push(`s${index}`)
  }
  return {
    name: 'simulated',
    accept: ['*/*'],
    steps,
    retry: { attempts: 1 + random.below(4), backoff: { initial_ms: 100, max_ms: 2_000 } },
    on_failure: random.chance(0.5) ? 'stop' : 'continue',
  }
}

const chooseStage = (random: Random): StageName =>
  random.chance(0.2) ? 'validate' : random.pick(['transform', 'transform', 'analyze', 'index'] as const)

function chooseStep(
  random: Random,
  { stage, names, isLast }: { stage: StageName; names: readonly string[]; isLast: boolean },
): StepDefinition {
  const needs = new Set<string>()
  if (names.length > 0) {
    const count = 1 + random.below(isLast ? 3 : 2)
    for (let index = 0; index < count; index++) {
      // Rather recent ones, so that pipelines become deep.
      needs.add(random.chance(0.6) ? names[names.length - 1]! : random.pick(names))
    }
  }
  const [first] = needs
  return {
    uses: `${stage}.${random.pick([10, 100, 1_000])}`,
    needs: [...needs],
    with: {},
    ...(first !== undefined && !isLast && random.chance(0.35) && { each: first }),
    ...(first !== undefined && random.chance(0.15) && { if: random.pick(conditions(first)) }),
    ...(random.chance(0.1) && { retry: { attempts: 1 + random.below(3), backoff: { initial_ms: 50, max_ms: 500 } } }),
  }
}
