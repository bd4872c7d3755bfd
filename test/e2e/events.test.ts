// Events as server-sent events: live, in order, and from where a reader left off.

import type { Client, EventResource } from '@millrace/contract'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { utf8 } from '../fixtures/texts.ts'
import { readEvents, type Told } from './event-reader.ts'
import { openHouse, type House } from './house.ts'
import { runFile, upload } from './jobs.ts'

const readDeadlineMs = 60_000
let house: House
let client: Client

beforeAll(async () => {
  house = await openHouse()
  client = house.client
}, 120_000)
afterAll(() => house?.close())

/** Reads a stream until the event that is the last one wanted, and leaves it. */
async function readUntil(
  answer: Promise<Response>,
  isLast: (event: EventResource) => boolean,
  abort: AbortController,
): Promise<Told[]> {
  const told: Told[] = []
  for await (const one of readEvents(await answer)) {
    told.push(one)
    if (isLast(one.event)) break
  }
  abort.abort()
  return told
}

const signalOf = (abort: AbortController): AbortSignal =>
  AbortSignal.any([abort.signal, AbortSignal.timeout(readDeadlineMs)])
const isEnd = (event: EventResource): boolean => event.type === 'job.ended'

test('a job tells of its steps as they happen, from its beginning, each once and in order', async () => {
  const { job_id: jobId } = await upload(client, { name: 'told.txt', bytes: utf8('Events.\n') })
  const abort = new AbortController()
  const events = await readUntil(
    client.stream('jobEvents', { params: { job_id: jobId }, signal: signalOf(abort) }),
    isEnd,
    abort,
  )
  const types = events.map(({ event }) => event.type)
  expect(types.at(-1)).toBe('job.ended')
  expect(types).toContain('step.started')
  expect(types.filter((type) => type === 'step.ended').length).toBeGreaterThanOrEqual(4)
  expect(events.every(({ event }) => event.job_id === jobId)).toBe(true)
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length)
  const progress = events.flatMap(({ event }) =>
    event.type === 'job.progress' ? [Number(event.data['progress'])] : [],
  )
  expect(progress).toEqual(progress.toSorted((a, b) => a - b))

  // Whoever left after the third event gets the rest, and nothing twice.
  const again = new AbortController()
  const rest = await readUntil(
    client.stream('jobEvents', {
      params: { job_id: jobId },
      headers: { 'last-event-id': events[2]?.id ?? '' },
      signal: signalOf(again),
    }),
    isEnd,
    again,
  )
  expect(rest.map(({ id }) => id)).toEqual(events.slice(3).map(({ id }) => id))
})

test('the tenant hears of every job', async () => {
  const abort = new AbortController()
  const seen = new Set<string>()
  const stream = client.stream('tenantEvents', { signal: signalOf(abort) })
  await stream
  const wanted = new Set<string>()
  const reading = readUntil(
    stream,
    (event) => {
      if (isEnd(event) && event.job_id !== undefined) seen.add(event.job_id)
      return wanted.size === 3 && [...wanted].every((id) => seen.has(id))
    },
    abort,
  )
  for (const name of ['one.txt', 'two.txt', 'three.txt']) {
    wanted.add((await runFile(client, { name, bytes: utf8(`${name}\n`) })).job_id)
  }
  // One more, in case the last end was heard before its job was added.
  await upload(client, { name: 'four.txt', bytes: utf8('four\n') })
  await reading
  expect([...wanted].every((id) => seen.has(id))).toBe(true)
})
