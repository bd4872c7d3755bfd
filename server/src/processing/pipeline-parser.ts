// A pipeline from its text: every fault at once, each with its line and column, or the completed definition.

import { stageOrder, type FieldError, type StageName } from '@millrace/contract'
import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { suggestion } from '../platform/nearest-name.ts'
import { invariant } from '../platform/problem.ts'
import { isRecord, pointerPart, schemaFaults, type SchemaFault } from '../platform/schema-faults.ts'
import type { Catalogue, CatalogueEntry } from './catalogue.ts'
import { parseCondition } from './condition.ts'
import { contentTypePattern } from './content-type.ts'
import {
  memoryClasses,
  retryPolicyDefault,
  stepsCountMax,
  type MemoryClass,
  type PipelineDefinition,
  type RetryPolicy,
  type StepDefinition,
} from './definition.ts'
import { ancestorsOf, findCycles, leavesOf, type Needs } from './pipeline-graph.ts'
import { faultsCountMax, readPipelineSource } from './pipeline-source.ts'

const hourMs = 3_600_000
const closed = { additionalProperties: false }

const RetrySource = Type.Object(
  {
    attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: 20 })),
    backoff: Type.Optional(
      Type.Object(
        {
          initial_ms: Type.Optional(Type.Integer({ minimum: 10, maximum: hourMs })),
          max_ms: Type.Optional(Type.Integer({ minimum: 10, maximum: 24 * hourMs })),
        },
        closed,
      ),
    ),
  },
  closed,
)
type RetrySource = Static<typeof RetrySource>

const Names = Type.Array(Type.String(), { maxItems: stepsCountMax, uniqueItems: true })

const StepSource = Type.Object(
  {
    uses: Type.String(),
    needs: Type.Optional(Names),
    each: Type.Optional(Type.String()),
    with: Type.Optional(Type.Object({})),
    if: Type.Optional(Type.String()),
    inputs: Type.Optional(Type.Array(Type.String(), { minItems: 1, maxItems: stepsCountMax, uniqueItems: true })),
    timeout_ms: Type.Optional(Type.Integer({ minimum: 100, maximum: 24 * hourMs })),
    memory: Type.Optional(Type.Enum(Object.keys(memoryClasses) as MemoryClass[])), // Its keys, as it is written there.
    retry: Type.Optional(RetrySource),
  },
  closed,
)
type StepSource = Static<typeof StepSource>

const PipelineSource = Type.Object(
  {
    name: Type.String({
      pattern: '^[a-z0-9][a-z0-9-]{0,99}$',
      form: 'lower-case letters, digits and hyphens, 100 at most',
    }),
    description: Type.Optional(Type.String({ maxLength: 2_000 })),
    accept: Type.Array(
      Type.String({ pattern: contentTypePattern, form: 'a content type such as image/png, image/* or */*' }),
      { minItems: 1, maxItems: 100, uniqueItems: true },
    ),
    steps: Type.Object({}),
    retry: Type.Optional(RetrySource),
    on_failure: Type.Optional(Type.Enum(['stop', 'continue'])),
  },
  closed,
)
type PipelineSource = Static<typeof PipelineSource>

const stepNamePattern = /^[a-z][a-z0-9_-]{0,49}$/
/** What "inputs" calls the file of the job. */
const original = 'original'

/** What every job passes; added where a pipeline has no step of the stage. */
const impliedSteps = [
  { name: 'collect', stage: 'collect', uses: 'file.collect' },
  { name: 'archive', stage: 'archive', uses: 'archive.tier' },
] as const satisfies { name: string; stage: StageName; uses: string }[]

export type ParsedPipeline = { definition: PipelineDefinition } | { faults: FieldError[] }

/** Never throws for a fault of the text; faults come in the order of the text. */
export function parsePipeline(text: string, catalogue: Catalogue): ParsedPipeline {
  const source = readPipelineSource(text)
  if (!('locate' in source)) return source
  const { faults, definition } = checkPipeline(source.value, catalogue)
  const located = [
    ...source.faults,
    ...faults.map(({ path, part, message }) => ({ path, ...source.locate(path, part), message })),
  ]
  if (definition !== undefined && located.length === 0) return { definition }
  const inOrder = located.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0))
  return { faults: inOrder.slice(0, faultsCountMax) }
}

interface Step {
  path: string
  source: StepSource
  needs: string[]
  entry: CatalogueEntry | undefined
}

function checkPipeline(
  value: unknown,
  catalogue: Catalogue,
): { faults: SchemaFault[]; definition?: PipelineDefinition } {
  if (!isRecord(value)) return { faults: [fault('', 'A pipeline is a map with name, accept and steps.')] }
  const faults = schemaFaults(PipelineSource, value)
  const written = isRecord(value['steps']) ? Object.entries(value['steps']) : []
  if (isRecord(value['steps']) && written.length === 0) faults.push(fault('/steps', 'There is no step.', 'key'))
  if (written.length > stepsCountMax) {
    faults.push(fault('/steps', `There are ${written.length} steps; at most ${stepsCountMax} are allowed.`, 'key'))
    return { faults }
  }
  const steps = new Map<string, Step>()
  for (const [name, step] of written) {
    const path = `/steps${pointerPart(name)}`
    faults.push(...schemaFaults(StepSource, step, path), ...nameFaults(name, path))
    const source = wellTyped(step)
    const needs = source.needs ?? (source.each === undefined ? [] : [source.each])
    steps.set(name, { path, source, needs, entry: catalogue.find(source.uses) })
  }
  const needs: Needs = new Map([...steps].map(([name, step]) => [name, step.needs]))
  for (const [name, step] of steps) faults.push(...stepFaults(name, step, { steps, needs, catalogue }))
  faults.push(...cycleFaults(needs), ...impliedNameFaults(steps), ...retryFaults(value['retry'], '/retry'))
  if (faults.length > 0) return { faults }
  // Without a fault it is what its schema says.
  return { faults, definition: complete(value as PipelineSource, steps, catalogue) }
}

const fault = (path: string, message: string, part: SchemaFault['part'] = 'value'): SchemaFault => ({
  path,
  part,
  message,
})

/** The fields of a step that are of the right kind, so that one wrong field does not hide the faults of the others. */
function wellTyped(step: unknown): StepSource {
  const fields = isRecord(step) ? Object.entries(step) : []
  const right = fields.filter(([key, value]) => {
    const schema = Object.hasOwn(StepSource.properties, key)
      ? StepSource.properties[key as keyof typeof StepSource.properties]
      : undefined
    return schema !== undefined && Value.Check(schema, value)
  })
  return { uses: '', ...Object.fromEntries(right) }
}

function nameFaults(name: string, path: string): SchemaFault[] {
  if (name === original)
    return [fault(path, `"${original}" is what steps call the file of the job; name the step otherwise.`, 'key')]
  if (stepNamePattern.test(name)) return []
  return [
    fault(
      path,
      'A step is named with lower-case letters, digits, _ and -, beginning with a letter, 50 at most.',
      'key',
    ),
  ]
}

interface Surroundings {
  steps: ReadonlyMap<string, Step>
  needs: Needs
  catalogue: Catalogue
}

function stepFaults(name: string, step: Step, around: Surroundings): SchemaFault[] {
  const { path, source, entry } = step
  const faults: SchemaFault[] = []
  if (source.uses !== '' && entry === undefined) {
    const names = around.catalogue.entries.map((each) => each.name)
    faults.push(fault(`${path}/uses`, `There is no processor "${source.uses}".${suggestion(source.uses, names)}`))
  }
  if (entry !== undefined) {
    const parameters = Value.Default(entry.parameters, structuredClone(source.with ?? {}))
    faults.push(...schemaFaults(entry.parameters, parameters, `${path}/with`))
  }
  faults.push(...needFaults(name, step, around), ...inputFaults(name, step, around))
  faults.push(...retryFaults(source.retry, `${path}/retry`))
  if (source.if !== undefined) {
    const condition = parseCondition(source.if, step.needs)
    if ('error' in condition) faults.push(fault(`${path}/if`, sentence(condition.error)))
  }
  return faults
}

function needFaults(name: string, { path, source, needs, entry }: Step, { steps }: Surroundings): SchemaFault[] {
  const others = [...steps.keys()].filter((other) => other !== name)
  const faults = (source.needs ?? []).flatMap((need, index) => {
    const at = `${path}/needs/${index}`
    const needed = steps.get(need)
    if (needed === undefined) return [fault(at, `There is no step "${need}".${suggestion(need, others)}`)]
    if (entry === undefined || needed.entry === undefined) return []
    if (stageOrder(needed.entry.stage) <= stageOrder(entry.stage)) return []
    return [
      fault(
        at,
        `"${name}" (stage ${entry.stage}) cannot come after "${need}" (stage ${needed.entry.stage}): an edge never runs back to an earlier stage.`,
      ),
    ]
  })
  const { each } = source
  if (each !== undefined && !steps.has(each))
    faults.push(fault(`${path}/each`, `There is no step "${each}".${suggestion(each, others)}`))
  else if (each !== undefined && !needs.includes(each))
    faults.push(
      fault(`${path}/each`, `"${each}" must stand in "needs" too: its outputs are what the step is split by.`),
    )
  return faults
}

function inputFaults(name: string, { path, source, needs, entry }: Step, around: Surroundings): SchemaFault[] {
  if (entry?.joins && needs.length === 0)
    return [fault(path, `"${source.uses}" works on what other steps made: name these in "needs".`, 'key')]
  const before = ancestorsOf(name, around.needs)
  return (source.inputs ?? []).flatMap((input, index) => {
    if (input === original || before.has(input)) return []
    const at = `${path}/inputs/${index}`
    if (around.steps.has(input)) return [fault(at, `"${input}" does not end before this step: add it to "needs".`)]
    return [fault(at, `There is no step "${input}".${suggestion(input, [original, ...around.steps.keys()])}`)]
  })
}

const cycleFaults = (needs: Needs): SchemaFault[] =>
  findCycles(needs).map((cycle) =>
    fault(`/steps${pointerPart(cycle[0] ?? '')}/needs`, `The steps wait for each other: ${cycle.join(' → ')}.`, 'key'),
  )

/** A step may use the name of an implied one only when it takes its place. */
function impliedNameFaults(steps: ReadonlyMap<string, Step>): SchemaFault[] {
  return impliedSteps.flatMap(({ name, stage }) => {
    const step = steps.get(name)
    if (step?.entry === undefined || step.entry.stage === stage || hasStage(steps, stage)) return []
    return [
      fault(step.path, `"${name}" is the step that Millrace adds to every pipeline; name this one otherwise.`, 'key'),
    ]
  })
}

function retryFaults(retry: unknown, path: string): SchemaFault[] {
  if (!isRecord(retry) || !Value.Check(RetrySource, retry)) return []
  const { backoff } = completeRetry(retry, retryPolicyDefault)
  if (backoff.initial_ms <= backoff.max_ms) return []
  return [
    fault(`${path}/backoff`, `initial_ms (${backoff.initial_ms}) is more than max_ms (${backoff.max_ms}).`, 'key'),
  ]
}

const hasStage = (steps: ReadonlyMap<string, Step>, stage: StageName): boolean =>
  [...steps.values()].some((step) => step.entry?.stage === stage)

function complete(source: PipelineSource, steps: ReadonlyMap<string, Step>, catalogue: Catalogue): PipelineDefinition {
  const retry = completeRetry(source.retry, retryPolicyDefault)
  const done = [...steps].map(([name, step]) => [name, completeStep(step, retry)] as const)
  const [collect, archive] = impliedSteps
  if (!hasStage(steps, collect.stage)) {
    for (const [, step] of done) if (step.needs.length === 0) step.needs.push(collect.name)
    done.unshift([collect.name, impliedStep(collect.uses, [], catalogue)])
  }
  if (!hasStage(steps, archive.stage)) {
    const leaves = leavesOf(new Map(done.map(([name, step]) => [name, step.needs])))
    done.push([archive.name, impliedStep(archive.uses, leaves, catalogue)])
  }
  const rank = ([, { uses }]: readonly [string, StepDefinition]): number => {
    const stage = catalogue.find(uses)?.stage
    return stage === 'collect' ? 0 : stage === 'archive' ? 2 : 1
  }
  return {
    name: source.name,
    ...(source.description === undefined ? {} : { description: source.description.trim() }),
    accept: source.accept,
    steps: Object.fromEntries(done.sort((left, right) => rank(left) - rank(right))),
    retry,
    on_failure: source.on_failure ?? 'stop',
  }
}

function completeStep({ source, needs, entry }: Step, retry: RetryPolicy): StepDefinition {
  const { uses, each, inputs, timeout_ms, memory, if: condition } = source
  invariant(entry, 'a step without faults has a processor')
  return {
    uses,
    needs: [...needs],
    ...(each === undefined ? {} : { each }),
    with: withDefaults(entry, source.with),
    ...(condition === undefined ? {} : { if: condition }),
    ...(inputs === undefined ? {} : { inputs }),
    ...(timeout_ms === undefined ? {} : { timeout_ms }),
    ...(memory === undefined ? {} : { memory }),
    ...(source.retry === undefined ? {} : { retry: completeRetry(source.retry, retry) }),
  }
}

function impliedStep(uses: string, needs: string[], catalogue: Catalogue): StepDefinition {
  const entry = catalogue.find(uses)
  invariant(entry, `the catalogue has ${uses}`)
  return { uses, needs, with: withDefaults(entry, {}) }
}

const withDefaults = (entry: CatalogueEntry, parameters: object = {}): Record<string, unknown> =>
  // Checked against an object schema, or empty.
  Value.Default(entry.parameters, structuredClone(parameters)) as Record<string, unknown>

const completeRetry = (retry: RetrySource | undefined, otherwise: RetryPolicy): RetryPolicy => ({
  attempts: retry?.attempts ?? otherwise.attempts,
  backoff: {
    initial_ms: retry?.backoff?.initial_ms ?? otherwise.backoff.initial_ms,
    max_ms: retry?.backoff?.max_ms ?? otherwise.backoff.max_ms,
  },
})

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`
