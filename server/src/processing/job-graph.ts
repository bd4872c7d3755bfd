// A job and its steps in memory while its lock is held, and what follows when something of it ends. Nothing here waits,
// reads a clock or throws dice: the same rows and the same calls give the same graph, in production and in the simulation.
//
// A step waits until its needs have ended. It has ended when none of its tasks is open. A step is broken for those that
// need it when it failed or was cancelled, or was skipped for such a reason; skipped by its own condition, it is not.

import { isJobEnded, type JobEndState, type StageName, type StepState } from '@millrace/contract'
import { invariant } from '../platform/problem.ts'
import type { PipelineDefinition, StepDefinition } from './definition.ts'
import type { EngineEvent, EngineJob, EngineStep, StoredProblem } from './engine-store.ts'
import { isJobMove, isStepMove } from './states.ts'
import { graverRefusal, type FileRefusal } from './verdict.ts'

/** What the graph must know of a step that the definition does not say. */
export interface StepTraits {
  stage: StageName
  /** Expected worker time of one task. */
  costMs: number
}

export interface JobGraphSource {
  job: EngineJob
  steps: EngineStep[]
  definition: PipelineDefinition
  traits: (step: StepDefinition) => StepTraits
}

/** How many tasks of one job are guessed to run at once, for estimates. */
const parallelTasksGuess = 4

export class JobGraph {
  readonly job: EngineJob
  readonly definition: PipelineDefinition
  readonly events: EngineEvent[] = []
  /** Set by the call that ended the job. */
  ended: JobEndState | undefined
  /** Whether a step that decides over the file has ended since the graph was made. */
  validationEnded = false
  /** What the steps that decide over the file have against it since the graph was made; the gravest stands. */
  refusal: FileRefusal | undefined
  readonly #steps: Map<string, EngineStep>
  readonly #traits: Map<string, StepTraits>
  readonly #dirty = new Set<EngineStep>()
  readonly #told = new Set<EngineStep>()
  readonly #initialProgress: number

  constructor({ job, steps, definition, traits }: JobGraphSource) {
    this.job = job
    this.definition = definition
    this.#initialProgress = job.progressPercent
    this.#steps = new Map(steps.map((step) => [step.name, step]))
    this.#traits = new Map(Object.entries(definition.steps).map(([name, step]) => [name, traits(step)]))
  }

  step(name: string): EngineStep {
    const step = this.#steps.get(name)
    invariant(step, 'a step of a job has its row')
    return step
  }

  get steps(): EngineStep[] {
    return [...this.#steps.values()]
  }

  definitionOf(name: string): StepDefinition {
    const step = this.definition.steps[name]
    invariant(step, 'a step of a job stands in its definition')
    return step
  }

  traitsOf(name: string): StepTraits {
    const traits = this.#traits.get(name)
    invariant(traits, 'a step of a job stands in its definition')
    return traits
  }

  get dirtySteps(): EngineStep[] {
    return [...this.#dirty]
  }

  get isLive(): boolean {
    return !isJobEnded(this.job.state) && this.job.state !== 'cancelling'
  }

  /** Whether nothing new is started because a task died and the pipeline says so. */
  get isStopping(): boolean {
    return (
      this.definition.on_failure === 'stop' &&
      this.steps.some((step) => step.tasksFailed > 0 || step.state === 'failed')
    )
  }

  /** Whether nothing of it may start any more, and what runs has to stop. */
  get isWinding(): boolean {
    return this.job.state === 'cancelling' || this.job.state === 'cancelled' || this.isStopping
  }

  get isPaused(): boolean {
    return this.job.state === 'paused'
  }

  /** Whether the tasks that are in nobody's hands have to go, and those that would still be created. */
  get mustCancelIdle(): boolean {
    const open = this.steps.some((step) => step.tasksPending > 0 || step.expandedTo !== null)
    return open && !isJobEnded(this.job.state) && (this.job.state === 'cancelling' || this.isStopping)
  }

  isEnded(step: EngineStep): boolean {
    return step.tasksPending === 0 && step.state !== 'waiting' && step.state !== 'running'
  }

  isBroken(name: string): boolean {
    const step = this.step(name)
    if (step.state === 'cancelled') return true
    if (step.state === 'failed') return !this.#isPartial(step)
    return step.state === 'skipped' && this.definitionOf(name).needs.some((need) => this.isBroken(need))
  }

  /** A fanned-out step that failed and of which some tasks went well, in a pipeline that goes on after failures. */
  #isPartial(step: EngineStep): boolean {
    const fansOut = this.definitionOf(step.name).each !== undefined
    return (
      step.state === 'failed' &&
      fansOut &&
      this.definition.on_failure === 'continue' &&
      step.tasksFailed < step.tasksTotal
    )
  }

  /** A task of the step left its open states. */
  endTask(name: string, to: 'succeeded' | 'dead' | 'cancelled', problem?: StoredProblem): void {
    const step = this.step(name)
    invariant(step.tasksPending > 0, 'a task that ends was counted as pending')
    step.tasksPending -= 1
    if (to === 'dead') {
      step.tasksFailed += 1
      if (problem) this.#blame(step, problem)
    }
    if (to === 'cancelled') this.#markCancelled(step)
    this.#dirty.add(step)
  }

  /** So many idle tasks of the step were cancelled. */
  cancelTasks(name: string, count: number): void {
    const step = this.step(name)
    invariant(step.tasksPending >= count, 'cancelled tasks were counted as pending')
    step.tasksPending -= count
    this.#markCancelled(step)
    this.#dirty.add(step)
  }

  /** The tasks of the step that were not created yet never will be. */
  dropUncreated(name: string, openCount: number): void {
    const step = this.step(name)
    const droppedCount = step.tasksPending - openCount
    step.expandedTo = null
    step.tasksTotal -= droppedCount
    step.tasksPending = openCount
    if (droppedCount > 0) this.#markCancelled(step)
    this.#dirty.add(step)
  }

  /** Tells apart a step that lost tasks to a cancellation from one whose tasks all went well, before it ends. */
  #markCancelled(step: EngineStep): void {
    if (step.state === 'waiting' || step.state === 'running') this.#move(step, 'cancelled')
  }

  #blame(step: EngineStep, problem: StoredProblem): void {
    step.problem ??= { code: problem.code, detail: problem.detail }
    this.job.problem ??= { ...problem, step: step.name }
  }

  #move(step: EngineStep, state: StepState): void {
    invariant(isStepMove(step.state, state), `a step moves from ${step.state} to ${state}`)
    step.state = state
    this.#dirty.add(step)
  }

  /** Ends what has no open task left. */
  endSteps(): void {
    for (const step of this.#steps.values()) {
      if (step.tasksPending > 0 || step.expandedTo !== null || step.tasksTotal === 0) continue
      if (step.state === 'waiting' || step.state === 'running') {
        this.#end(step, step.tasksFailed > 0 ? 'failed' : 'succeeded')
      } else if (step.state === 'cancelled' && this.#dirty.has(step) && !this.#told.has(step)) {
        this.#end(step, step.tasksFailed > 0 && this.job.state !== 'cancelling' ? 'failed' : 'cancelled')
      }
    }
    if (this.isLive && !this.isStopping) return
    for (const step of this.#steps.values()) {
      if (step.state !== 'waiting' || step.tasksTotal > 0) continue
      this.#end(step, this.job.state === 'cancelling' ? 'cancelled' : 'skipped')
    }
  }

  #end(step: EngineStep, state: StepState): void {
    if (step.state !== state) this.#move(step, state)
    this.#dirty.add(step)
    this.#told.add(step)
    const { stage } = this.traitsOf(step.name)
    if (stage === 'collect' || stage === 'validate') this.validationEnded = true
    this.#tell('step.ended', {
      step: step.name,
      state,
      tasks_total: step.tasksTotal,
      tasks_done: state === 'succeeded' ? step.tasksTotal : Math.max(0, step.tasksTotal - step.tasksFailed),
      tasks_failed: step.tasksFailed,
      ...(step.problem && { problem: step.problem }),
    })
  }

  /** Steps that wait for a decision: their needs have ended and they have no tasks yet. */
  readySteps(): string[] {
    if (!this.isLive || this.isStopping) return []
    return this.steps
      .filter((step) => step.state === 'waiting' && step.tasksTotal === 0)
      .filter((step) => this.definitionOf(step.name).needs.every((need) => this.isEnded(this.step(need))))
      .map((step) => step.name)
  }

  hasBrokenNeed(name: string): boolean {
    return this.definitionOf(name).needs.some((need) => this.isBroken(need))
  }

  skipStep(name: string): void {
    this.#end(this.step(name), 'skipped')
  }

  failStep(name: string, problem: StoredProblem): void {
    const step = this.step(name)
    this.#blame(step, problem)
    this.#end(step, 'failed')
  }

  /** The step has so many tasks from now on; with none it has succeeded. */
  startStep(name: string, tasksCount: number): void {
    const step = this.step(name)
    if (tasksCount === 0) return this.#end(step, 'succeeded')
    step.tasksTotal = tasksCount
    step.tasksPending = tasksCount
    this.#dirty.add(step)
  }

  /** A worker has the first task of the step. */
  beginStep(name: string): void {
    const step = this.step(name)
    if (step.state !== 'waiting') return
    this.#move(step, 'running')
    this.#tell('step.started', { step: name, tasks_total: step.tasksTotal })
  }

  /** Tasks of the step have been created up to this output; null: all of them. */
  splitUpTo(name: string, outputId: number | null): void {
    const step = this.step(name)
    step.expandedTo = outputId
    this.#dirty.add(step)
  }

  /** Room in the virtual time of the tenant for tasks of that cost; answers where it begins. */
  takeRank(costMs: number): number {
    const rank = this.job.virtualMs
    this.job.virtualMs += Math.max(1, Math.ceil(costMs))
    return rank
  }

  cancel(): void {
    this.#moveJob('cancelling')
    this.job.tasksMoving = false
  }

  /** What runs may end; nothing else starts. */
  pause(): void {
    if (this.isPaused) return
    this.#moveJob('paused')
    this.job.tasksMoving = true
    this.#tell('job.paused', {})
  }

  resume(): void {
    if (!this.isPaused) return
    const hasBegun = this.steps.some(
      ({ state, tasksPending, tasksTotal }) => state === 'running' || tasksPending < tasksTotal,
    )
    this.#moveJob(hasBegun ? 'running' : 'queued')
    this.job.tasksMoving = true
    this.#tell('job.resumed', {})
  }

  /** Steps run again from where they stand: those named forget all, those with requeued tasks have these pending. */
  reopen(reset: readonly string[], requeued: ReadonlyMap<string, number>): void {
    for (const name of reset) {
      const step = this.step(name)
      if (step.state !== 'waiting') this.#move(step, 'waiting')
      Object.assign(step, { tasksTotal: 0, tasksPending: 0, tasksFailed: 0, expandedTo: null, problem: null })
    }
    for (const [name, count] of requeued) {
      const step = this.step(name)
      if (step.state !== 'waiting') this.#move(step, 'waiting')
      Object.assign(step, { tasksPending: count, tasksFailed: 0, problem: null })
    }
    this.#moveJob('running')
    this.job.problem = null
  }

  #moveJob(state: EngineJob['state']): void {
    if (this.job.state === state) return
    invariant(isJobMove(this.job.state, state), `a job moves from ${this.job.state} to ${state}`)
    this.job.state = state
  }

  /** Counts, progress and, when nothing is left to do, the end. To be called last, once per transaction. */
  conclude(): void {
    this.job.stepsPending = this.steps.filter((step) => !this.isEnded(step)).length
    const progress = Math.max(this.job.progressPercent, this.#progress())
    this.job.progressPercent = progress
    if (this.job.stepsPending === 0 && !isJobEnded(this.job.state)) {
      const state = this.#endState()
      if (state === 'completed' || state === 'completed_with_errors') this.job.progressPercent = 100
      this.#moveJob(state)
      this.ended = state
      this.#tell('job.ended', { status: state, ...(this.job.problem && { problem: this.job.problem }) })
    } else if (Math.floor(progress) > Math.floor(this.#initialProgress) && this.events.length === 0) {
      this.#tell('job.progress', {})
    }
    for (const event of this.events) event.data['progress'] = Math.floor(this.job.progressPercent * 10) / 10
  }

  #endState(): JobEndState {
    if (this.job.state === 'cancelling') return 'cancelled'
    const failed = this.steps.filter((step) => step.state === 'failed')
    if (failed.length === 0) return this.steps.some((step) => step.state === 'cancelled') ? 'cancelled' : 'completed'
    if (this.definition.on_failure === 'stop') return 'failed'
    const isWork = (step: EngineStep): boolean => ['transform', 'analyze'].includes(this.traitsOf(step.name).stage)
    const gateFailed = failed.some((step) => ['collect', 'validate'].includes(this.traitsOf(step.name).stage))
    const work = this.steps.filter(isWork)
    const nothingDone = work.length > 0 && !work.some((step) => step.state === 'succeeded' || this.#isPartial(step))
    return gateFailed || nothingDone ? 'failed' : 'completed_with_errors'
  }

  /** A check of the file has ended without letting it through. */
  refuse(problem: StoredProblem): void {
    this.refusal = graverRefusal(this.refusal, problem)
  }

  /** Whether there are steps that can refuse the file. */
  get hasChecks(): boolean {
    return this.steps.some((step) => this.traitsOf(step.name).stage === 'validate')
  }

  /** Whether all steps that decide over the file have ended well. */
  get isValidated(): boolean {
    return this.steps
      .filter((step) => ['collect', 'validate'].includes(this.traitsOf(step.name).stage))
      .every((step) => this.isEnded(step) && !this.isBroken(step.name) && step.state !== 'failed')
  }

  /** Ended work as a share of all, by expected worker time; 100 is for the end. */
  #progress(): number {
    let done = 0
    let all = 0
    for (const step of this.#steps.values()) {
      const weight = Math.max(1, this.traitsOf(step.name).costMs)
      all += weight
      const share = step.tasksTotal === 0 ? 0 : (step.tasksTotal - step.tasksPending) / step.tasksTotal
      done += weight * (this.isEnded(step) ? 1 : share)
    }
    return all === 0 ? 0 : Math.min(99.9, (done / all) * 100)
  }

  /** Expected time until the end: the longest way through what has not ended. */
  remainingMs(): number {
    const longest = new Map<string, number>()
    const walk = (name: string): number => {
      const known = longest.get(name)
      if (known !== undefined) return known
      const step = this.step(name)
      const before = Math.max(0, ...this.definitionOf(name).needs.map(walk))
      const rounds = Math.ceil(Math.max(1, step.tasksPending) / parallelTasksGuess)
      const own = this.isEnded(step) ? 0 : this.traitsOf(name).costMs * rounds
      longest.set(name, before + own)
      return before + own
    }
    return Math.max(0, ...this.steps.map((step) => walk(step.name)))
  }

  #tell(type: EngineEvent['type'], data: Record<string, unknown>): void {
    const { tenantId, id: jobId, fileId } = this.job
    this.events.push({ tenantId, type, jobId, fileId, data })
  }
}

/** The steps before a step, direct and indirect. */
export function ancestorsOf(definition: PipelineDefinition, name: string): string[] {
  const found = new Set<string>()
  const walk = (step: string): void => {
    for (const need of definition.steps[step]?.needs ?? []) {
      if (found.has(need)) continue
      found.add(need)
      walk(need)
    }
  }
  walk(name)
  return [...found]
}

/** The step itself and all that follow it. */
export function followersOf(definition: PipelineDefinition, name: string): string[] {
  return Object.keys(definition.steps).filter((step) => step === name || ancestorsOf(definition, step).includes(name))
}
