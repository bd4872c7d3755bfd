import { describe, expect, it } from 'vitest'
import type { RowId } from '../platform/ids.ts'
import { JobGraph, ancestorsOf, followersOf } from './job-graph.ts'
import { resolveSources } from './step-inputs.ts'
import { toDefinition, type Steps } from './testing/test-rows.ts'

const diamond: Steps = {
  receive: { uses: 'collect.x' },
  left: { uses: 'transform.x', needs: ['receive'] },
  right: { uses: 'analyze.x', needs: ['receive'] },
  join: { uses: 'index.x', needs: ['left', 'right'] },
}

function graphOf(steps: Steps, onFailure: 'stop' | 'continue' = 'stop'): JobGraph {
  const jobId = 1 as RowId<'job'>
  return new JobGraph({
    definition: toDefinition(steps, { on_failure: onFailure }),
    traits: ({ uses }) => ({ stage: uses.split('.')[0] as 'transform', costMs: 100 }),
    job: {
      id: jobId,
      tenantId: 1,
      fileId: 1 as RowId<'file'>,
      fileVersion: 1,
      pipelineVersionId: 1,
      state: 'running',
      lane: 1,
      stepsPending: 4,
      progressPercent: 0,
      recordsCount: null,
      problem: null,
      virtualMs: 0,
      tasksMoving: false,
      createdBy: 'system',
    },
    steps: Object.keys(steps).map((name, position) => ({
      jobId,
      name,
      position,
      state: 'waiting',
      tasksTotal: 0,
      tasksPending: 0,
      tasksFailed: 0,
      expandedTo: null,
      problem: null,
    })),
  })
}

const problem = { code: 'file_unreadable', detail: 'why' } as const
/** Starts what is ready with so many tasks and ends them all. */
function pass(graph: JobGraph, tasksCount = 1): string[] {
  const ready = graph.readySteps()
  for (const name of ready) {
    graph.startStep(name, tasksCount)
    for (let task = 0; task < tasksCount; task++) graph.endTask(name, 'succeeded')
  }
  graph.endSteps()
  return ready
}

describe('the graph of a job', () => {
  it('starts a step when all of its needs have ended, once', () => {
    const graph = graphOf(diamond)
    expect(pass(graph)).toEqual(['receive'])
    expect(graph.readySteps()).toEqual(['left', 'right'])
    graph.startStep('left', 2)
    graph.startStep('right', 1)
    graph.endTask('left', 'succeeded')
    graph.endTask('right', 'succeeded')
    graph.endSteps()
    expect(graph.readySteps()).toEqual([])
    graph.endTask('left', 'succeeded')
    graph.endSteps()
    expect(pass(graph)).toEqual(['join'])
    graph.conclude()
    expect(graph.job).toMatchObject({ state: 'completed', progressPercent: 100, stepsPending: 0 })
    expect(graph.events.filter(({ type }) => type === 'job.ended').length).toBe(1)
  })

  it('stops after a death: nothing new starts, what waits is skipped, the job fails when the last task has ended', () => {
    const graph = graphOf(diamond)
    pass(graph)
    graph.startStep('left', 1)
    graph.startStep('right', 1)
    graph.endTask('left', 'dead', problem)
    graph.endSteps()
    graph.conclude()
    expect(graph.job).toMatchObject({ state: 'running', problem: { code: 'file_unreadable', step: 'left' } })
    expect(graph.step('join').state).toBe('skipped')
    graph.endTask('right', 'succeeded')
    graph.endSteps()
    graph.conclude()
    expect(graph.job.state).toBe('failed')
  })

  it('goes on after a death where the pipeline says so, except after what died', () => {
    const graph = graphOf(diamond, 'continue')
    pass(graph)
    graph.startStep('left', 1)
    graph.endTask('left', 'dead', problem)
    graph.endSteps()
    expect(graph.readySteps()).toEqual(['right'])
    pass(graph)
    expect(graph.hasBrokenNeed('join')).toBe(true)
    graph.skipStep('join')
    graph.conclude()
    expect(graph.job.state).toBe('completed_with_errors')
  })

  it('does not take what was cancelled in the middle of a fan-out for work that is done', () => {
    const steps: Steps = {
      receive: { uses: 'collect.x' },
      parts: { uses: 'transform.x', needs: ['receive'], each: 'receive' },
      tag: { uses: 'index.x', needs: ['receive'] },
    }
    const graph = graphOf(steps, 'continue')
    pass(graph)
    graph.startStep('parts', 2)
    graph.endTask('parts', 'succeeded')
    graph.endTask('parts', 'cancelled')
    graph.startStep('tag', 1)
    graph.endTask('tag', 'dead', problem)
    graph.endSteps()
    graph.conclude()
    expect(graph.step('parts').state).toBe('cancelled')
    expect(graph.job.state).toBe('failed')
  })

  it('goes on with the part of a fan-out that went well', () => {
    const graph = graphOf(
      {
        split: { uses: 'transform.x' },
        part: { uses: 'transform.x', needs: ['split'], each: 'split' },
        join: { uses: 'transform.x', needs: ['part'] },
      },
      'continue',
    )
    pass(graph)
    graph.startStep('part', 2)
    graph.endTask('part', 'dead', problem)
    graph.endTask('part', 'succeeded')
    graph.endSteps()
    expect(graph.hasBrokenNeed('join')).toBe(false)
  })

  it('fails as a whole when a step that decides over the file failed, whatever the pipeline says', () => {
    const graph = graphOf({ check: { uses: 'validate.x' }, work: { uses: 'transform.x' } }, 'continue')
    graph.startStep('check', 1)
    graph.endTask('check', 'dead', problem)
    graph.endSteps()
    pass(graph)
    graph.conclude()
    expect(graph.job.state).toBe('failed')
  })

  it('ends cancelled when the last task has let go', () => {
    const graph = graphOf(diamond)
    pass(graph)
    graph.startStep('left', 3)
    graph.cancel()
    graph.cancelTasks('left', 2)
    graph.endSteps()
    graph.conclude()
    expect(graph.job.state).toBe('cancelling')
    graph.endTask('left', 'succeeded')
    graph.endSteps()
    graph.conclude()
    expect(graph.job.state).toBe('cancelled')
    expect(graph.steps.map(({ state }) => state)).toEqual(['succeeded', 'cancelled', 'cancelled', 'cancelled'])
  })

  it('is not over while a step is still being split', () => {
    const graph = graphOf({ split: { uses: 'transform.x' } })
    graph.startStep('split', 2)
    graph.splitUpTo('split', 7)
    expect(graph.dirtySteps).toMatchObject([{ expandedTo: 7 }])
    graph.endTask('split', 'succeeded')
    graph.endTask('split', 'succeeded')
    graph.endSteps()
    expect(graph.isEnded(graph.step('split'))).toBe(false)
  })

  it('can be cancelled when all tasks of a split that is not over have ended already', () => {
    const graph = graphOf({ split: { uses: 'transform.x' } })
    graph.startStep('split', 1)
    graph.splitUpTo('split', 7)
    graph.endTask('split', 'succeeded')
    graph.cancel()
    expect(graph.mustCancelIdle).toBe(true)
    graph.dropUncreated('split', 0)
    graph.endSteps()
    graph.conclude()
    expect(graph.step('split')).toMatchObject({ state: 'succeeded', expandedTo: null })
    expect(graph.job.state).toBe('cancelled')
  })

  it('refuses moves that are not in the table, and counters below zero', () => {
    const graph = graphOf(diamond)
    expect(() => graph.endTask('left', 'succeeded')).toThrow('pending')
    pass(graph)
    graph.job.state = 'completed'
    expect(() => graph.cancel()).toThrow('moves')
  })

  it('does not let progress pass 100 before the end, nor go back when it runs again', () => {
    const graph = graphOf(diamond)
    pass(graph)
    graph.conclude()
    expect(graph.job.progressPercent).toBeCloseTo(25)
    expect(graph.remainingMs()).toBe(200)
  })
})

describe('the definition', () => {
  const { steps } = toDefinition(diamond)
  const definition = toDefinition(diamond)
  it('knows what comes before and after a step', () => {
    expect(ancestorsOf(definition, 'join').toSorted()).toEqual(['left', 'receive', 'right'])
    expect(followersOf(definition, 'left')).toEqual(['left', 'join'])
    expect(Object.keys(steps).length).toBe(4)
  })

  it('reads the outputs of its needs, and where these have none, what these read', () => {
    const counts: Record<string, number> = { left: 2 }
    const read = (name: string) => resolveSources(definition, name, (step) => counts[step] ?? 0)
    expect(read('receive')).toEqual(['original'])
    expect(read('left')).toEqual(['original'])
    expect(read('join')).toEqual(['left', 'original'])
  })
})
