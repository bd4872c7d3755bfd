import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { examine } from '../analytics/doctor.ts'
import type { RowId } from '../platform/ids.ts'
import { createEngineHouse, done, type EngineHouse } from './testing/engine-house.ts'
import { testObject, toDefinition, type Steps } from './testing/test-rows.ts'
import type { PipelineDefinition } from './definition.ts'
import type { TaskAssignment, TaskOutput } from './task.ts'

let house: EngineHouse
let tenantId: RowId<'tenant'>
let fileId: RowId<'file'>

beforeAll(async () => {
  house = await createEngineHouse()
  house.startWorker()
})
afterAll(() => house.close())
const output = (name: string): TaskOutput => ({
  name,
  contentType: 'text/plain',
  object: testObject(tenantId),
  as: 'output',
})

async function run(steps: Steps, rest: Partial<PipelineDefinition> = {}) {
  await house.usePipeline(tenantId, toDefinition(steps, rest))
  const job = await house.submit(tenantId, fileId)
  return ended(job.jobRowId)
}

const ended = (jobRowId: RowId<'job'>) =>
  house.until(
    () => house.read(tenantId, jobRowId).then((job) => ({ ...job, rowId: jobRowId })),
    (job) => job.finished_at !== null,
  )

const states = (job: { steps: { name: string; state: string }[] }): Record<string, string> =>
  Object.fromEntries(job.steps.map(({ name, state }) => [name, state]))

const file = async () => (await house.database.query('select * from file where id = $1', [fileId])).rows[0]!

const standard: Steps = {
  receive: { uses: 'collect.receive' },
  check: { uses: 'validate.integrity', needs: ['receive'] },
  work: { uses: 'transform.copy', needs: ['check'] },
  index: { uses: 'search.index', needs: ['work'] },
  keep: { uses: 'archive.keep', needs: ['index'] },
}

describe('a job', () => {
  beforeEach(async () => {
    for (const name of Object.keys(house.work)) delete house.work[name]
    tenantId = await house.addTenant()
    fileId = await house.addFile(tenantId)
  })

  it('gives a task the time, the memory and the attempts of its step, or what its processor asks for', async () => {
    const inputs: Record<string, object> = {}
    for (const step of ['check', 'work'])
      house.work[step] = ({ input: { timeoutMs, memoryBytes, backoff }, attemptsMax }) => {
        inputs[step] = { timeoutMs, memoryBytes, backoff, attemptsMax }
        return done()
      }
    const retry = { attempts: 2, backoff: { initial_ms: 10, max_ms: 20 } }
    await run({ ...standard, work: { ...standard['work']!, timeout_ms: 5_000, memory: 'large', retry } })
    expect(inputs['work']).toEqual({
      timeoutMs: 5_000,
      memoryBytes: 4 * 1024 ** 3,
      backoff: retry.backoff,
      attemptsMax: 2,
    })
    expect(inputs['check']).toMatchObject({ timeoutMs: 1_000, memoryBytes: 1 })
  })

  it('runs its steps in order and ends completed, its file clear, found and archived', async () => {
    house.work['check'] = () => done([], { kind: 'csv' })
    house.work['work'] = () => done([output('a.txt')], { rows: 3 }, { foundText: 'needle in text', recordsCount: 3 })
    house.work['index'] = () => done([], { metadata: { title: ['Minutes'] } })
    house.work['keep'] = () => done([], { storage_class: 'cold' })
    const job = await run(standard)
    expect(job).toMatchObject({ status: 'completed', progress: 100, problem: null })
    expect(job.outputs).toMatchObject([{ name: 'a.txt', step: 'work' }])
    expect(job.metadata).toMatchObject({ records_processed: 3, processing_time: expect.any(Number) })
    expect(await file()).toMatchObject({ state: 'available', found: { check: { kind: 'csv' } }, storage_class: 'cold' })
    const { rows } = await house.database.query('select body, metadata from search_entry where file_id = $1', [fileId])
    // Of what was found the entry has what the indexing step chose.
    expect(rows).toEqual([{ body: 'needle in text', metadata: { owner: 'me', title: ['Minutes'] } }])
    const events = await house.database.query<{ type: string }>(
      'select type from outbox where job_id = $1 order by id',
      [job.rowId],
    )
    const types = events.rows.map(({ type }) => type)
    expect(types.filter((type) => type === 'step.ended').length).toBe(5)
    expect(types.filter((type) => type === 'step.started').length).toBe(5)
    expect([types[0], types.at(-1)]).toEqual(['job.created', 'job.ended'])
    expect(types.filter((type) => type === 'job.ended').length).toBe(1)
  })

  it('fans out, joins once after all, and hands results and files along', async () => {
    const seen: TaskAssignment[] = []
    house.work['pages'] = () => done(Array.from({ length: 25 }, () => output('page.png')))
    house.work['ocr'] = (task) => done([output('text.txt')], { page: task.ordinal })
    house.work['join'] = (task) => {
      seen.push(task)
      return done()
    }
    const job = await run({
      receive: { uses: 'collect.receive' },
      pages: { uses: 'transform.render', needs: ['receive'] },
      ocr: { uses: 'analyze.ocr', needs: ['pages'], each: 'pages' },
      join: { uses: 'transform.join', needs: ['ocr'] },
    })
    expect(job.status).toBe('completed')
    expect(job.steps).toMatchObject([{}, {}, { tasks_total: 25, tasks_done: 25 }, { tasks_total: 1 }])
    expect(seen.length).toBe(1)
    expect(seen[0]!.input.files.length).toBe(25)
    expect(seen[0]!.results['ocr']).toEqual(Array.from({ length: 25 }, (_, page) => ({ page })))
    expect(new Set(job.outputs.map(({ name }) => name)).size).toBe(50)
  })

  it('has succeeded with a fan-out over nothing', async () => {
    const job = await run({
      receive: { uses: 'collect.receive' },
      pages: { uses: 'transform.render', needs: ['receive'] },
      ocr: { uses: 'analyze.ocr', needs: ['pages'], each: 'pages' },
      join: { uses: 'transform.join', needs: ['ocr'] },
    })
    expect(job.status).toBe('completed')
    expect(states(job)).toMatchObject({ ocr: 'succeeded', join: 'succeeded' })
  })

  it('skips a step whose condition is false, and goes on after it', async () => {
    const seen: string[][] = []
    house.work['text'] = () => done([output('a.txt')], { pages: 0 })
    house.work['last'] = (task) => {
      seen.push(task.input.files.map(({ name }) => name))
      return done()
    }
    const job = await run({
      text: { uses: 'transform.text' },
      extra: { uses: 'transform.extra', needs: ['text'], if: 'text.result.pages > 0' },
      last: { uses: 'transform.last', needs: ['extra'] },
    })
    expect(job.status).toBe('completed')
    expect(states(job)).toEqual({ text: 'succeeded', extra: 'skipped', last: 'succeeded' })
    expect(seen).toEqual([['a.txt']])
  })

  it('fails with the condition that could not be evaluated', async () => {
    const job = await run({
      text: { uses: 'transform.text' },
      extra: { uses: 'transform.extra', needs: ['text'], if: 'text.result.pages > 0' },
    })
    expect(job).toMatchObject({ status: 'failed', problem: { code: 'condition_failed' } })
  })

  it('ends failed at once, in the owner’s words, when a file is rejected', async () => {
    house.work['check'] = () => ({
      kind: 'reject',
      code: 'file_unreadable',
      detail: 'The table has no header.',
      durationMs: 1,
    })
    const job = await run(standard)
    expect(job).toMatchObject({
      status: 'failed',
      problem: { code: 'file_unreadable', detail: 'The table has no header.' },
    })
    expect(states(job)).toEqual({
      receive: 'succeeded',
      check: 'failed',
      work: 'skipped',
      index: 'skipped',
      keep: 'skipped',
    })
    expect(await file()).toMatchObject({
      state: 'rejected',
      verdict: { code: 'file_unreadable', detail: 'The table has no header.', step: 'check' },
    })
  })

  it.each([
    ['file_infected', 'infected'],
    ['file_unscannable', 'unscannable'],
    ['processor_crashed', 'unscannable'],
  ] as const)('leaves the file %s when a check ends so, and clears it once a retry passes', async (code, state) => {
    house.work['work'] = () => done([output('a.txt')], { rows: 3 }, { foundText: 'needle' })
    house.work['check'] = () =>
      code === 'processor_crashed'
        ? { kind: 'retry', code, detail: 'broke', afterMs: 1, durationMs: 1 }
        : { kind: 'reject', code, detail: 'EICAR', durationMs: 1 }
    const job = await run({
      check: { uses: 'validate.malware', retry: { attempts: 1, backoff: { initial_ms: 1, max_ms: 1 } } },
      work: { uses: 'transform.copy' },
    })
    expect(job.status).toBe('failed')
    expect(await file()).toMatchObject({ state, verdict: { code, step: 'check' } })
    // A pipeline without checks takes nothing back.
    await run({ work: { uses: 'transform.copy' } })
    expect(await file()).toMatchObject({ state })
    house.work['check'] = () => done()
    await house.control.retryJob(tenantId, job.rowId, 'system')
    await house.until(file, (row) => row['state'] === 'available')
    expect(await file()).toMatchObject({ verdict: null })
  })

  it('tries again until its attempts are used', async () => {
    let attempts = 0
    house.work['only'] = (task) => {
      attempts = task.attempt
      return { kind: 'retry', code: 'processor_crashed', detail: 'broke', afterMs: 1, durationMs: 1 }
    }
    const job = await run({
      only: { uses: 'collect.x', retry: { attempts: 3, backoff: { initial_ms: 1, max_ms: 1 } } },
    })
    expect(attempts).toBe(3)
    expect(job).toMatchObject({ status: 'failed', problem: { code: 'processor_crashed' }, steps: [{ attempts: 3 }] })
  })

  it('goes on with other branches when its pipeline says so', async () => {
    house.work['bad'] = () => ({ kind: 'reject', code: 'data_invalid', detail: 'bad', durationMs: 1 })
    const job = await run(
      {
        receive: { uses: 'collect.receive' },
        bad: { uses: 'transform.bad', needs: ['receive'] },
        afterBad: { uses: 'transform.after', needs: ['bad'] },
        good: { uses: 'transform.good', needs: ['receive'] },
      },
      { on_failure: 'continue' },
    )
    expect(job).toMatchObject({ status: 'completed_with_errors', problem: { code: 'data_invalid' } })
    expect(states(job)).toEqual({ receive: 'succeeded', bad: 'failed', afterBad: 'skipped', good: 'succeeded' })
  })

  it('runs again from what failed', async () => {
    let broken = true
    house.work['work'] = () =>
      broken ? { kind: 'reject', code: 'data_invalid', detail: 'bad', durationMs: 1 } : done([output('a.txt')])
    const failed = await run(standard)
    expect(failed.status).toBe('failed')
    broken = false
    await house.control.retryJob(tenantId, failed.rowId, 'system')
    const job = await ended(failed.rowId)
    expect(job).toMatchObject({ status: 'completed', problem: null, progress: 100 })
    await expect(house.control.retryJob(tenantId, failed.rowId, 'system')).rejects.toMatchObject({ code: 'conflict' })
  })

  it('replays a step and what follows it, its former outputs gone', async () => {
    let version = 1
    house.work['work'] = () => done([output(`v${version}.txt`)])
    const first = await run(standard)
    version = 2
    await house.control.replayStep(tenantId, first.rowId, 'system', 'work')
    const job = await ended(first.rowId)
    expect(job.outputs.map(({ name }) => name)).toEqual(['v2.txt'])
    await expect(house.control.replayStep(tenantId, first.rowId, 'system', 'nope')).rejects.toMatchObject({
      code: 'not_found',
    })
  })

  it('replays what did not begin because the job stopped as well', async () => {
    let broken = true
    house.work['bad'] = () => (broken ? { kind: 'reject', code: 'data_invalid', detail: 'bad', durationMs: 1 } : done())
    house.work['side'] = async (task) => {
      while ((await house.desk.heartbeat([task])).length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      return done() // In time, all the same.
    }
    const stopped = await run(
      {
        receive: { uses: 'collect.receive' },
        bad: { uses: 'transform.bad', needs: ['receive'] },
        side: { uses: 'transform.side', needs: ['receive'] },
        last: { uses: 'archive.last', needs: ['side'] },
      },
      { on_failure: 'stop' },
    )
    expect(states(stopped)).toEqual({ receive: 'succeeded', bad: 'failed', side: 'succeeded', last: 'skipped' })
    await expect(house.control.replayStep(tenantId, stopped.rowId, 'system', 'side')).rejects.toMatchObject({
      code: 'conflict',
      detail: expect.stringContaining('bad'),
    })
    expect(states(await ended(stopped.rowId))).toEqual(states(stopped))
    broken = false
    await house.control.replayStep(tenantId, stopped.rowId, 'system', 'bad')
    const job = await ended(stopped.rowId)
    expect(job.status).toBe('completed')
    expect(states(job)).toEqual({ receive: 'succeeded', bad: 'succeeded', side: 'succeeded', last: 'succeeded' })
  })

  it('is not there for another tenant', async () => {
    const job = await run({ only: { uses: 'collect.x' } })
    const other = await house.addTenant()
    await expect(house.control.cancelJob(other, job.rowId, 'system')).rejects.toMatchObject({ code: 'not_found' })
    await expect(house.control.cancelJob(tenantId, job.rowId, 'system')).rejects.toMatchObject({ code: 'job_ended' })
  })

  it('is cancelled while it runs: its worker is told, and nothing follows', async () => {
    const begun = Promise.withResolvers<TaskAssignment>()
    house.work['only'] = async (task) => {
      begun.resolve(task)
      for (;;) {
        const [stop] = await house.desk.heartbeat([task])
        if (stop) return { kind: 'cancelled' }
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    await house.usePipeline(
      tenantId,
      toDefinition({ only: { uses: 'collect.x' }, next: { uses: 'transform.y', needs: ['only'] } }),
    )
    const { jobRowId } = await house.submit(tenantId, fileId)
    await begun.promise
    await house.control.cancelJob(tenantId, jobRowId, 'system')
    const job = await ended(jobRowId)
    expect(job.status).toBe('cancelled')
    expect(states(job)).toEqual({ only: 'cancelled', next: 'cancelled' })
  })

  it('is paused: what runs ends, nothing else starts until it is resumed', async () => {
    const begun = Promise.withResolvers<void>()
    const mayEnd = Promise.withResolvers<void>()
    house.work['first'] = async () => {
      begun.resolve()
      await mayEnd.promise
      return done()
    }
    await house.usePipeline(
      tenantId,
      toDefinition({ first: { uses: 'collect.x' }, next: { uses: 'transform.y', needs: ['first'] } }),
    )
    const { jobRowId } = await house.submit(tenantId, fileId)
    await begun.promise
    await house.control.pauseJob(tenantId, jobRowId, 'system')
    mayEnd.resolve()
    const read = () => house.read(tenantId, jobRowId)
    const paused = await house.until(read, ({ steps }) => steps[0]?.state === 'succeeded')
    expect(paused).toMatchObject({ status: 'paused', estimated_completion: null, finished_at: null })
    const tasks = await house.database.query(`select step from task where job_id = $1 and state = 'blocked'`, [
      jobRowId,
    ])
    expect(tasks.rows).toEqual([{ step: 'next' }])
    await house.control.pauseJob(tenantId, jobRowId, 'system')
    await house.control.resumeJob(tenantId, jobRowId, 'system')
    expect(await ended(jobRowId)).toMatchObject({ status: 'completed' })
    const events = await house.database.query<{ type: string }>(
      `select type from outbox where job_id = $1 and type in ('job.paused', 'job.resumed') order by id`,
      [jobRowId],
    )
    expect(events.rows.map(({ type }) => type)).toEqual(['job.paused', 'job.resumed'])
    await expect(house.control.pauseJob(tenantId, jobRowId, 'system')).rejects.toMatchObject({ code: 'job_ended' })
    await expect(house.control.resumeJob(tenantId, jobRowId, 'system')).rejects.toMatchObject({ code: 'job_ended' })
  })

  it('is paused before anything of it has begun, and cancelled so', async () => {
    await house.usePipeline(tenantId, toDefinition({ only: { uses: 'collect.x' } }))
    await house.database.query('update tenant_schedule set paused = true where tenant_id = $1', [tenantId])
    const held = await house.submit(tenantId, fileId)
    await house.control.pauseJob(tenantId, held.jobRowId, 'system')
    await house.control.cancelJob(tenantId, held.jobRowId, 'system')
    expect(await ended(held.jobRowId)).toMatchObject({ status: 'cancelled' })
    const resumed = await house.submit(tenantId, fileId)
    await house.control.pauseJob(tenantId, resumed.jobRowId, 'system')
    await house.control.resumeJob(tenantId, resumed.jobRowId, 'system')
    expect(await house.read(tenantId, resumed.jobRowId)).toMatchObject({ status: 'queued', started_at: null })
  })

  it('stops what runs beside a task that died, where the pipeline stops on failure', async () => {
    house.work['split'] = () => done([output('1'), output('2'), output('3')])
    const running = new Set<number>()
    house.work['part'] = async (task) => {
      running.add(task.ordinal)
      for (;;) {
        if (task.ordinal === 1 && running.size === 3)
          return { kind: 'reject', code: 'file_unreadable', detail: 'Planned.', durationMs: 1 }
        const [stop] = task.ordinal === 1 ? [] : await house.desk.heartbeat([task])
        if (stop) return { kind: 'cancelled' }
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    const job = await run({
      split: { uses: 'transform.split' },
      part: { uses: 'transform.part', needs: ['split'], each: 'split' },
    })
    expect(job).toMatchObject({ status: 'failed', problem: { code: 'file_unreadable' } })
    const { rows } = await house.database.query<{ state: string }>(
      `select state from task where job_id = $1 and step = 'part' order by ordinal`,
      [job.rowId],
    )
    expect(rows.map(({ state }) => state)).toEqual(['cancelled', 'dead', 'cancelled'])
  })

  it('loses the task alone whose result cannot be stored, not those that are reported with it', async () => {
    house.work['split'] = () => done(Array.from({ length: 8 }, () => output('part.txt')))
    house.work['part'] = (task) => done([], { text: task.ordinal === 3 ? 'a\0b' : 'fine' })
    const job = await run(
      {
        split: { uses: 'transform.split' },
        part: { uses: 'transform.part', needs: ['split'], each: 'split' },
      },
      { on_failure: 'continue' },
    )
    expect(job).toMatchObject({ status: 'completed_with_errors', problem: { code: 'output_invalid' } })
    expect(job.steps[1]).toMatchObject({ tasks_total: 8, tasks_done: 7, tasks_failed: 1 })
  })
})

it('keeps the books: the doctor finds nothing wrong afterwards', async () => {
  const report = await examine({ database: house.database, storeProbe: { reports: async () => [] }, parts: {} })
  expect(report.findings.filter(({ code }) => !['dead_letters', 'workers_missing'].includes(code))).toEqual([])
})
