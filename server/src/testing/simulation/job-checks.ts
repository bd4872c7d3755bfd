// What must hold of a job as a whole, whatever has just changed of it.

import { isJobEnded, type JobState } from '@millrace/contract'
import type { EngineStep } from '../../processing/engine-store.ts'
import type { MemoryJob, MemoryTask } from '../../processing/testing/memory-tables.ts'
import type { CheckDependencies } from './checks.ts'
import { gateStages, isBrokenState, isOpen, isStepEnded, stageOf } from './engine-rows.ts'
import { markOf } from './simulated-worker.ts'

export function createJobChecks({ store, rows, expect }: CheckDependencies) {
  const { tables } = store

  /** What its steps say that a job which ends has come to. */
  function expectedEnd(job: MemoryJob, isCancelled: boolean): JobState {
    const definition = rows.definitionOf(job.id)
    const steps = rows.stepsOf(job.id)
    if (isCancelled || definition === undefined) return 'cancelled'
    const failed = steps.filter(({ state }) => state === 'failed')
    if (failed.length === 0) return steps.some(({ state }) => state === 'cancelled') ? 'cancelled' : 'completed'
    if (definition.on_failure === 'stop') return 'failed'
    const work = steps.filter(({ name }) => ['transform', 'analyze'].includes(stageOf(definition.steps[name]?.uses)))
    const isPartial = (step: EngineStep): boolean =>
      step.state === 'failed' && definition.steps[step.name]?.each !== undefined && step.tasksFailed < step.tasksTotal
    const isNothingDone = work.length > 0 && !work.some((step) => step.state === 'succeeded' || isPartial(step))
    const isGateShut = failed.some(({ name }) => gateStages.includes(stageOf(definition.steps[name]?.uses)))
    return isGateShut || isNothingDone ? 'failed' : 'completed_with_errors'
  }

  /** After a commit that changed something of the job. */
  function checkWhole(jobId: number): void {
    const job = tables.jobs.get(jobId)
    if (job === undefined) return
    const tasksByStep = Map.groupBy(tables.tasks.ofJob(jobId), ({ step }) => step)
    const steps = rows.stepsOf(jobId)
    const isOver = isJobEnded(job.state)
    for (const step of steps) {
      const tasks = tasksByStep.get(step.name) ?? []
      const open = tasks.filter(isOpen).length
      const dead = tasks.filter(({ state }) => state === 'dead').length
      const uncreated = step.expandedTo === null ? 0 : step.tasksTotal - tasks.length
      const name = (): string => `job ${jobId}, step ${step.name} (${step.state})`
      expect(
        step.tasksPending === open + uncreated,
        'I9b',
        () => `${name()}: ${step.tasksPending} pending, ${open} + ${uncreated} open`,
      )
      expect(step.tasksFailed === dead, 'I9b', () => `${name()}: ${step.tasksFailed} failed, ${dead} dead`)
      expect(
        step.tasksTotal === tasks.length + uncreated,
        'A1',
        () => `${name()}: ${step.tasksTotal} tasks, ${tasks.length} rows`,
      )
      if (isOver)
        expect(open === 0 && isStepEnded(step), 'I2d', () => `${name()} of a job that is ${job.state}: ${open} open`)
      if (step.state === 'succeeded') {
        const isDone = tasks.every(({ state }) => state === 'succeeded')
        expect(
          isDone,
          'I2d',
          () => `${name()} with tasks that are ${[...new Set(tasks.map(({ state }) => state))].join()}`,
        )
      }
    }
    checkHeld(job, tasksByStep.values().toArray().flat())
    const pending = steps.filter((step) => !isStepEnded(step)).length
    if (job.state !== 'running' || pending === 0) {
      expect(
        job.stepsPending === pending,
        'I9b',
        () => `job ${jobId}: ${job.stepsPending} steps pending, ${pending} are`,
      )
    }
    if (isOver) checkEnded(job, steps, tasksByStep)
  }

  function checkHeld(job: MemoryJob, tasks: readonly MemoryTask[]): void {
    if (job.tasksMoving || job.cancelRequestedMs !== null) return
    const isMisplaced = ({ state }: MemoryTask): boolean =>
      job.state === 'paused' ? ['delayed', 'queued', 'dispatched'].includes(state) : state === 'blocked'
    const task = tasks.find(isMisplaced)
    expect(task === undefined, 'I15e', () => `task ${task?.id} is ${task?.state}, job ${job.id} ${job.state}`)
  }

  function checkEnded(job: MemoryJob, steps: readonly EngineStep[], tasksByStep: Map<string, MemoryTask[]>): void {
    const definition = rows.definitionOf(job.id)
    const isStopped = job.state === 'cancelled' || job.state === 'failed'
    for (const { name, state } of steps) {
      const { each, needs = [], if: condition } = definition?.steps[name] ?? {}
      const tasks = tasksByStep.get(name) ?? []
      if (each !== undefined && state === 'succeeded') {
        const made = [...tables.outputs.ofJob(job.id)].filter(({ from }) => from === each)
        const seen = new Set(tasks.map(({ input }) => input.files[0]?.objectId))
        const isWhole = made.length === tasks.length && made.every(({ objectId }) => seen.has(objectId))
        expect(isWhole, 'I9e', () => `job ${job.id}, step ${name}: ${tasks.length} tasks for ${made.length} outputs`)
      } else if (each === undefined && state === 'succeeded') {
        expect(tasks.length === 1, 'I9c', () => `job ${job.id}, step ${name}: ${tasks.length} tasks`)
        checkJoin(job.id, name, tasks[0])
      }
      if (state !== 'skipped' || isStopped || condition !== undefined) continue
      const isBroken = needs.some((need) => steps.some((step) => step.name === need && isBrokenState(step.state)))
      expect(isBroken, 'I2d', () => `job ${job.id}, step ${name} is skipped for no reason`)
    }
    for (const { taskId, objectId } of tables.outputs.ofJob(job.id)) {
      const result = tables.results.get(taskId)
      const isOfResult = result !== undefined && objectId.startsWith(`${markOf(result)}/`)
      expect(
        isOfResult,
        'I3',
        () => `job ${job.id} has output ${objectId} of task ${taskId}, result of ${result?.epoch}`,
      )
    }
    for (const result of tables.results.ofJob(job.id)) {
      expect(
        result.result === markOf(result),
        'I8d',
        () => `task ${result.taskId} has the result ${String(result.result)}`,
      )
    }
  }

  /** A step that reads what its needs made reads all of it. */
  function checkJoin(jobId: number, name: string, task: MemoryTask | undefined): void {
    const { needs = [] } = rows.definitionOf(jobId)?.steps[name] ?? {}
    if (task === undefined || task.input.stage === 'index') return
    const read = new Set(task.input.files.map(({ objectId }) => objectId))
    for (const { from, objectId } of tables.outputs.ofJob(jobId)) {
      if (needs.includes(from))
        expect(read.has(objectId), 'I9d', () => `job ${jobId}, step ${name} has not read ${objectId}`)
    }
  }

  return { expectedEnd, checkWhole }
}
