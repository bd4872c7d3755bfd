import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../platform/clock.ts'
import { Problem } from '../platform/problem.ts'
import type { TaskOutcome } from '../processing/task.ts'
import { eventually, processesWith } from './testing/eventually.ts'
import { testTask } from './testing/fake-desk.ts'
import { openWorkerHouse, type WorkerHouse } from './testing/worker-house.ts'

const outputsOf = (outcome: TaskOutcome) => (outcome.kind === 'done' ? outcome.outputs : [])

describe('a task', () => {
  let house: WorkerHouse
  let nextId = 1
  beforeAll(async () => {
    house = await openWorkerHouse()
  })
  afterAll(() => house[Symbol.asyncDispose]())

  /** Runs it and answers its outcome; nothing it stored may remain when it did not end well. */
  const outcomeOf = async (processor: string, parameters: Record<string, unknown> = {}, input = {}) => {
    const taskId = nextId++
    house.desk.add(testTask(taskId, processor, { input: { parameters, ...input } }))
    const outcome = await house.desk.outcomeOf(taskId)
    if (outcome.kind !== 'done')
      expect([...house.stored.keys()].filter((key) => key.startsWith(`results/70/${taskId}/`))).toEqual([])
    return outcome
  }

  test('reads its input in clear and leaves its output encrypted, under ids only', async () => {
    const outcome = await outcomeOf('echo', {}, { files: [await house.input('a plain text')] })
    expect(outcome).toMatchObject({
      kind: 'done',
      outputs: [{ name: 'copy.txt', contentType: 'text/plain', as: 'output' }],
    })
    const [output] = outputsOf(outcome)
    expect(output?.object.storeKey).toMatch(/^results\/70\/\d+\/1\/[0-9a-f]{32}$/)
    expect(String(await buffer(await house.vault.read(output!.object)))).toBe('a plain text')
    expect(house.stored.get(output!.object.storeKey)?.includes('a plain text')).toBe(false)
  })

  test('is gone on with by the one that follows it, in the same slot, when the engine says so', async () => {
    const [first, second] = [nextId++, nextId++]
    const files = [await house.input('handed on')]
    house.desk.following.set(first, testTask(second, 'echo', { input: { files } }))
    const { takenCount } = house.desk
    house.desk.add(testTask(first, 'echo', { input: { files } }))
    expect(await house.desk.outcomeOf(second)).toMatchObject({ kind: 'done', outputs: [{ name: 'copy.txt' }] })
    expect(house.desk.takenCount).toBe(takenCount + 1)
    await eventually(() => expect(house.loop.busyCount()).toBe(0))
  })

  test('is given the input that the step before it had, which is fetched once, while it is not erased', async () => {
    const files = [await house.input('read once')]
    const object = house.objects.get(files[0]!.objectId)! // Put there by input.
    expect(await outcomeOf('echo', {}, { files })).toMatchObject({ kind: 'done' })
    const bytes = house.stored.get(object.storeKey)!
    house.stored.delete(object.storeKey)
    const again = outputsOf(await outcomeOf('echo', {}, { files }))
    expect(String(await buffer(await house.vault.read(again[0]!.object)))).toBe('read once')
    house.objects.set(object.objectId, { ...object, wrappedKey: new Uint8Array(0) })
    expect(await outcomeOf('echo', {}, { files })).toMatchObject({ kind: 'reject', code: 'object_damaged' })
    house.stored.set(object.storeKey, bytes)
  })

  test('of collect, index and archive runs without a file to open', async () => {
    const outcome = await outcomeOf('fact', {}, { files: [await house.input('x')] })
    expect(outcome).toMatchObject({ kind: 'done', result: { paths: [''], name: '../evil\n"name".txt' } })
  })

  test('that passes a limit is rejected with the reason', async () => {
    expect(await outcomeOf('loop', {}, { timeoutMs: 200 })).toMatchObject({
      kind: 'reject',
      code: 'time_limit_exceeded',
    })
    expect(await outcomeOf('exhaust-memory', {}, { memoryBytes: 200e6 })).toMatchObject({
      code: 'memory_limit_exceeded',
    })
    expect(await outcomeOf('flood-disk')).toMatchObject({ kind: 'reject', code: 'output_limit_exceeded' })
    expect(await outcomeOf('write-bytes', { bytesCount: 2e6 })).toMatchObject({ code: 'output_limit_exceeded' })
    expect(await outcomeOf('many-files', { count: 6 })).toMatchObject({ code: 'output_limit_exceeded' })
    expect(await outcomeOf('large', { length: 300_000 })).toMatchObject({ code: 'output_limit_exceeded' })
  })

  test('whose processor breaks is tried again, and tells its owner nothing of why', async () => {
    for (const processor of ['throw', 'exit', 'reject-later', 'garbage-line'])
      expect(await outcomeOf(processor)).toEqual({
        kind: 'retry',
        code: 'processor_crashed',
        detail: 'The processor broke down on this file.',
        durationMs: expect.any(Number),
      })
  })

  test('of a processor that this release does not have is rejected', async () => {
    expect(await outcomeOf('no.such')).toMatchObject({ kind: 'reject', code: 'processor_unavailable' })
  })

  test('gets the words of its processor, if they are any', async () => {
    const said = (outcome: unknown) => outcomeOf('outcome', { outcome })
    expect(await said({ kind: 'reject', code: 'file_encrypted', detail: 'It has\na password.' })).toMatchObject({
      kind: 'reject',
      code: 'file_encrypted',
      detail: 'It has a password.',
    })
    expect(await said({ kind: 'retryLater', afterMs: 1e15, detail: 'Not now.' })).toMatchObject({
      kind: 'retry',
      afterMs: 3_600_000,
    })
    for (const nonsense of [
      null,
      1,
      [],
      {},
      { kind: 'cancelled' },
      { kind: 'done' },
      { kind: 'reject', code: 'forbidden' },
    ])
      expect(await said(nonsense)).toMatchObject({ kind: 'reject', code: 'output_invalid' })
  })

  test('cannot poison what its result meets later', async () => {
    const outcome = await outcomeOf('pollute')
    expect(outcome).toMatchObject({ kind: 'done' })
    expect(JSON.stringify(outcome)).not.toContain('__proto__')
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
    expect(await outcomeOf('deep')).toMatchObject({ code: 'output_invalid' })
  })

  test('cannot pass off as an output what is none', async () => {
    const outside = await mkdtemp(path.join(tmpdir(), 'millrace-outside-'))
    await writeFile(path.join(outside, 'secret.txt'), 'of somebody else')
    const rejected = { kind: 'reject', code: 'output_invalid' }
    expect(await outcomeOf('fifo')).toMatchObject(rejected)
    for (const climb of ['../in/0', '/etc/passwd', 'a/../../in/0', '.', '', 'a//b', 'missing.txt', 'a\0b', '..\\..\\x'])
      expect(await outcomeOf('climb', { path: climb })).toMatchObject(rejected)
    // At this level Node refuses links; the shell stands for a library that makes them all the same.
    const out = '"$OUT"'
    for (const script of [
      `ln -s /etc/passwd ${out}/planted.txt`,
      `ln -s ${outside}/secret.txt ${out}/planted.txt`,
      `ln ${outside}/secret.txt ${out}/planted.txt`,
      `mkdir ${out}/planted.txt`,
      `mkfifo ${out}/planted.txt`,
      `mkdir ${out}/x; ln -s ${outside} ${out}/x/link; true`,
    ])
      expect(
        await outcomeOf('plant', { script, path: script.includes('/x/link') ? 'x/link/secret.txt' : 'planted.txt' }),
      ).toMatchObject(rejected)
    expect(existsSync(path.join(outside, 'secret.txt'))).toBe(true)
    await rm(outside, { recursive: true })
  })

  test('cannot give an output a type that its first bytes contradict', async () => {
    const written = (text: string, contentType: string) => outcomeOf('write-text', { text, contentType })
    expect(await written('<html><script>', 'image/png')).toMatchObject({ code: 'output_invalid' })
    expect(await written('%PDF-1.7', 'text/csv')).toMatchObject({ code: 'output_invalid' })
    expect(await written('%PDF-1.7', 'application/pdf')).toMatchObject({ kind: 'done' })
    expect(await written('a,b\n1,2', 'text/csv')).toMatchObject({ kind: 'done' })
    expect(await written('', 'text/csv')).toMatchObject({ kind: 'done' })
  })

  test('with an input that is damaged, gone, or another tenant’s is rejected', async () => {
    const damaged = { kind: 'reject', code: 'object_damaged' }
    const file = await house.input('soon to be changed')
    const { storeKey } = house.objects.get(file.objectId)!
    const bytes = Buffer.from(house.stored.get(storeKey)!)
    bytes[bytes.length - 1]! ^= 1
    house.stored.set(storeKey, bytes)
    expect(await outcomeOf('echo', {}, { files: [file] })).toMatchObject(damaged)
    house.stored.delete(storeKey)
    expect(await outcomeOf('echo', {}, { files: [file] })).toMatchObject(damaged)
    expect(await outcomeOf('echo', {}, { files: [{ ...file, objectId: 'ff'.repeat(16) }] })).toMatchObject(damaged)
    expect(await outcomeOf('echo', {}, { files: [await house.input('of tenant 8', 8)] })).toMatchObject(damaged)
  })

  test('leaves nothing in its folders for the next one', async () => {
    await outcomeOf('echo', {}, { files: [await house.input('x')] })
    expect(await outcomeOf('leftovers')).toMatchObject({ kind: 'done', result: { input: [], output: [], scratch: [] } })
  })
})

describe('the task loop', () => {
  test('stops what was cancelled or lost, reports the one and drops the other with what it stored', async () => {
    await using house = await openWorkerHouse()
    house.desk.add(testTask(1, 'sleep'), testTask(2, 'sleep'))
    await eventually(() => expect(house.loop.busyCount()).toBe(2))
    house.desk.stops.set(1, 'cancelled').set(2, 'lost')
    await eventually(() => expect(house.loop.busyCount()).toBe(0))
    expect(house.desk.reports.map(({ task, outcome }) => [task.taskId, outcome.kind])).toEqual([[1, 'cancelled']])

    house.desk.answer = () => false
    house.desk.add(testTask(3, 'echo'))
    await house.desk.outcomeOf(3)
    await eventually(() => expect(house.loop.busyCount()).toBe(0))
    expect([...house.stored.keys()]).toEqual([])
  })

  test.each([
    ['nothing for a slot until the outcome of what took long in it is written', 11, 1, 6],
    ['nothing for a slot until the outcome of what others may follow is written', 0, 0, 6],
    ['short parts of a fan-out while outcomes of others are on their way', 0, 1, 8],
  ])('takes %s', async (_, tickMs, ordinal, takenCount) => {
    let nowMs = 0
    const clock = { ...systemClock, monotonicMs: () => (nowMs += tickMs) }
    await using house = await openWorkerHouse({ heartbeatMs: 24 * 60 * 60_000, clock })
    house.desk.bunchCount = 3
    let isHeld = true
    let told = 0
    house.desk.answer = () => {
      if (!isHeld) return true
      told++
      throw new Problem('database_unavailable')
    }
    const ids = Array.from({ length: 8 }, (_, index) => index + 1)
    house.desk.add(...ids.map((id) => testTask(id, 'fact', { ordinal })))
    await eventually(() => expect(told).toBeGreaterThanOrEqual(takenCount))
    expect(house.desk.takenCount).toBe(takenCount)
    expect(house.loop.busyCount()).toBe(2)
    isHeld = false
    for (const id of ids) expect(await house.desk.outcomeOf(id)).toMatchObject({ kind: 'done' })
    await eventually(() => expect(house.loop.busyCount()).toBe(0))
  })

  test('does not go on with what follows while others that it has taken wait for its slots', async () => {
    await using house = await openWorkerHouse({ slotsCount: 1, heartbeatMs: 24 * 60 * 60_000 })
    house.desk.bunchCount = 3
    for (const id of [1, 2, 3]) house.desk.following.set(id, testTask(id + 10, 'fact'))
    house.desk.add(testTask(1, 'fact'), testTask(2, 'fact'), testTask(3, 'sleep'))
    await house.desk.outcomeOf(1)
    expect(house.desk.reports.map(({ task }) => task.taskId)).not.toContain(11)
    house.desk.stops.set(3, 'cancelled')
    house.wake.wake('cancel')
    await house.desk.outcomeOf(3)
    await eventually(() => expect(house.loop.busyCount()).toBe(0))
    expect(house.desk.reports.map(({ task }) => task.taskId)).not.toContain(11)
  })

  test('gives back what waits for long behind tasks that take longer than was thought, and what waits when it stops', async () => {
    await using house = await openWorkerHouse({ slotsCount: 1 })
    house.desk.bunchCount = 3
    house.desk.add(testTask(1, 'sleep'), testTask(2, 'echo'), testTask(3, 'sleep'))
    expect(await house.desk.outcomeOf(2)).toEqual({ kind: 'release' })
    expect(await house.desk.outcomeOf(3)).toEqual({ kind: 'release' })
    house.desk.stops.set(1, 'cancelled')
    expect(await house.desk.outcomeOf(1)).toEqual({ kind: 'cancelled' })

    await using stopping = await openWorkerHouse({ slotsCount: 1, heartbeatMs: 24 * 60 * 60_000 })
    stopping.desk.bunchCount = 2
    stopping.desk.add(testTask(1, 'sleep'), testTask(2, 'sleep'))
    await eventually(() => expect(stopping.desk.takenCount).toBe(2))
    const stopped = stopping.loop.stop(2_000)
    expect(await stopping.desk.outcomeOf(2)).toEqual({ kind: 'release' })
    expect(await stopping.desk.outcomeOf(1)).toEqual({ kind: 'release' })
    expect(stopping.desk.reports.map(({ task }) => task.taskId)).toEqual([2, 1])
    await stopped
  })

  test('stops what was cancelled as soon as it is told, long before the next heartbeat', async () => {
    await using house = await openWorkerHouse({ heartbeatMs: 24 * 60 * 60_000 })
    house.desk.add(testTask(1, 'sleep'), testTask(2, 'sleep'))
    await eventually(() => expect(house.loop.busyCount()).toBe(2))
    house.desk.stops.set(1, 'cancelled')
    house.wake.wake('cancel')
    expect(await house.desk.outcomeOf(1)).toEqual({ kind: 'cancelled' })
    house.desk.stops.set(2, 'cancelled')
    house.wake.wake('cancel')
    expect(await house.desk.outcomeOf(2)).toEqual({ kind: 'cancelled' })
  })

  test('reports again after a failure, and then leaves the objects of an outcome that may have been written', async () => {
    await using house = await openWorkerHouse()
    let asked = 0
    house.desk.answer = () => {
      if (++asked === 1) throw new Problem('database_unavailable')
      return false
    }
    house.desk.add(testTask(1, 'echo'))
    await eventually(() => expect(asked).toBe(2))
    await eventually(() => expect(house.loop.busyCount()).toBe(0))
    expect([...house.stored.keys()]).toHaveLength(1)
  })

  test('removes the outputs already stored when a later one cannot be, and tries again when the store is away', async () => {
    let writes = 0
    await using house = await openWorkerHouse({
      vault: (vault) => ({
        ...vault,
        write: (options) => {
          if (++writes === 3) throw new Problem('storage_unavailable')
          return vault.write(options)
        },
      }),
    })
    house.desk.add(testTask(1, 'many-files', { input: { parameters: { count: 4 } } }))
    expect(await house.desk.outcomeOf(1)).toMatchObject({ kind: 'retry', code: 'storage_unavailable' })
    expect([...house.stored.keys()]).toEqual([])
  })

  test('takes nothing more for a while when the disk is full, and hands the task back', async () => {
    await using house = await openWorkerHouse({
      slotsCount: 1,
      vault: (vault) => ({
        ...vault,
        read: () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })),
      }),
    })
    house.desk.add(testTask(1, 'echo', { input: { files: [await house.input('x')] } }))
    expect(await house.desk.outcomeOf(1)).toMatchObject({ kind: 'retry', code: 'disk_full' })
    await eventually(() => expect(house.loop.busyCount()).toBe(0))
    house.desk.add(testTask(2, 'echo'))
    const taken = house.desk.takenCount
    await expect(eventually(() => expect(house.desk.takenCount).toBe(taken + 1), 300)).rejects.toThrow()
  })

  test('takes nothing while the store does not answer, and goes on when it does', async () => {
    let isAway = true
    const answer = async (): Promise<void> => {
      if (isAway) throw new Problem('storage_unavailable')
    }
    await using house = await openWorkerHouse({
      slotsCount: 1,
      checkStore: answer,
      vault: (vault) => ({
        ...vault,
        read: async (...args) => {
          await answer()
          return vault.read(...args)
        },
      }),
    })
    const input = { files: [await house.input('x')] }
    house.desk.add(testTask(1, 'echo', { input }))
    expect(await house.desk.outcomeOf(1)).toMatchObject({ kind: 'retry', code: 'storage_unavailable' })
    await eventually(() => expect(house.loop.busyCount()).toBe(0))
    house.desk.add(testTask(2, 'echo', { input }))
    await expect(eventually(() => expect(house.desk.takenCount).toBe(2), 300)).rejects.toThrow()
    isAway = false
    expect(await house.desk.outcomeOf(2)).toMatchObject({ kind: 'done' })
  })

  test('ends in time: what can end is reported, the rest is released, every child is gone', async () => {
    const house = await openWorkerHouse({ slotsCount: 3 })
    house.desk.add(
      testTask(1, 'sleep'),
      testTask(2, 'loop'),
      testTask(3, 'nap', { input: { parameters: { ms: 600 } } }),
    )
    await eventually(async () => expect(await processesWith(house.scratchFolder)).not.toEqual([]))
    await eventually(() => expect(house.loop.busyCount()).toBe(3))
    // Twice, as by an impatient operator. What sleeps for a minute did not end by itself.
    await Promise.all([house.loop.stop(3_000), house.loop.stop(3_000)])
    const kinds = new Map(house.desk.reports.map(({ task, outcome }) => [task.taskId, outcome.kind]))
    expect(kinds).toEqual(new Map([[1, 'release'], [2, 'release'], [3, 'done']])) // prettier-ignore
    expect(await processesWith(house.scratchFolder)).toEqual([])
    expect(await readdir(house.scratchFolder)).toEqual([])
    house.desk.add(testTask(4, 'echo'))
    expect(house.desk.takenCount).toBe(3)
    await house[Symbol.asyncDispose]()
  })
})
