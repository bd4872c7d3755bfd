// No byte and no text of a file that is not cleared leaves by any route. Every operation that there is is asked, whether
// it has to do with files or not: one that is added later is asked too.

import { operations, type OperationId } from '@millrace/contract'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sealFileVersion } from '../files/seal.ts'
import { encodeId } from '../platform/ids.ts'
import type { EventAnswer, StreamAnswer } from '../platform/routes.ts'
import { createPostgresSearch } from '../search/postgres.ts'
import { openFeaturesHouse, type FeaturesHouse } from './testing/features-house.ts'

let house: FeaturesHouse
beforeAll(async () => {
  house = await openFeaturesHouse()
})
afterAll(() => house.close())

const canary = 'kanarienvogel'

/** A file whose content, findings, text and outputs all hold the canary, as if steps had run beside its checks. */
async function furnish(state: string): Promise<Record<string, string>> {
  const tenantId = await house.newTenant()
  const { fileId, file_id } = await house.addFile({ content: `${canary} in the content`, state })
  const { jobId, job_id, outputs } = await house.addJob({
    fileId,
    result: { preview: `${canary} in a result` },
    foundText: `${canary} in the text`,
    outputs: [{ name: 'a.txt', content: `${canary} in an output` }],
  })
  const { engineStore } = house.features
  // The index learns of it the way it does in production.
  await engineStore.transaction((tx) =>
    tx.effects.indexFile({ tenantId, fileId, version: 1, jobId, found: { title: `${canary} in what was found` } }),
  )
  const link = await house.insertOne(
    `insert into download_link (tenant_id, file_id, file_version, created_by, expires_at)
     values ($1, $2, 1, 'system', now() + interval '1 hour')`,
    [tenantId, fileId],
  )
  return {
    file_id,
    job_id,
    // The job has one output.
    output_id: outputs[0]!.output_id,
    link_id: String(link),
    step: 'step',
    name: 'test',
    tenant_id: encodeId('tenant', tenantId as never),
  }
}

// What handlers take once the contract's types have been checked at run time instead.
type AnyHandler = (input: unknown, context: unknown) => Promise<unknown>

async function textOf(answer: unknown): Promise<string> {
  const told = answer as StreamAnswer | EventAnswer | undefined
  if (told?.kind === 'stream') return told.body ? String(await buffer(told.body)) : ''
  if (told?.kind === 'events') {
    void told.events[Symbol.asyncIterator]().return?.()
    return ''
  }
  return JSON.stringify(answer) ?? ''
}

/** Operations in whose answer the canary was. */
async function leaks(state: string): Promise<string[]> {
  const known = await furnish(state)
  const routes = house.features.apiRoutes as unknown as Record<string, AnyHandler>
  const leaking: string[] = []
  for (const id of Object.keys(operations) as OperationId[]) {
    const handler = routes[id]
    // An upload answers with what came in.
    if (handler === undefined) continue
    const input = {
      params: known,
      query: { q: canary, limit: 50 },
      body: { ...known, file_ids: [known['file_id']], job_ids: [known['job_id']], source: 'name: x' },
    }
    // A listing must not be searched by the canary's name.
    if (id !== 'search') Object.assign(input, { query: {} })
    const text = await handler(input, house.contextOf()).then(textOf, (error: unknown) => String(error))
    if (text.includes(canary)) leaking.push(id)
  }
  const { rows } = await house.database.query(`select data::text from outbox where data::text like '%${canary}%'`)
  expect(rows).toEqual([])
  return leaking
}

describe('a file that its checks have', () => {
  it('cleared can be read, so that this test would see a leak', async () => {
    expect(await leaks('available')).toEqual(
      expect.arrayContaining([
        'getFileContent',
        'search',
        'getJob',
        'getOutputContent',
      ] satisfies (keyof typeof operations)[]),
    )
  })

  it.each(['quarantined', 'infected', 'rejected', 'unscannable'])(
    'left %s gives nothing of itself by any route',
    async (state) => {
      expect(await leaks(state)).toEqual([])
    },
  )
})

it('a version that was refused stays so when the next one is cleared, and one that was cleared when it is refused', async () => {
  const { fileId, file_id } = await house.addFile({ content: 'first', state: 'infected' })
  const read = (version: number) =>
    house.features.apiRoutes
      .getFileContent({ params: { file_id }, query: { version }, body: undefined }, house.contextOf())
      .then(textOf, (error: { code?: string }) => error.code)
  const addVersion = async (content: string) => {
    const object = await house.store(content)
    await house.database.withTenant(house.tenantId(), (tx) =>
      sealFileVersion(tx, {
        tenantId: house.tenantId(),
        fileId,
        contentType: 'text/plain',
        object,
        createdBy: 'system',
      }),
    )
  }
  await addVersion('second')
  expect(await read(2)).toBe('file_quarantined')
  await house.database.query(`update file set state = 'available' where id = $1`, [fileId])
  expect([await read(1), await read(2)]).toEqual(['file_infected', 'second'])
  await addVersion('third')
  await house.database.query(`update file set state = 'rejected' where id = $1`, [fileId])
  expect([await read(1), await read(2), await read(3)]).toEqual(['file_infected', 'second', 'file_rejected'])
})

it('what was findable of a file is found no more once a check has refused it, and again once one has cleared it', async () => {
  await furnish('available')
  const tenantId = house.tenantId()
  const searchIndex = createPostgresSearch()
  const found = () =>
    house.database.withTenant(
      tenantId,
      async (tx) => (await searchIndex.search(tx, { text: canary, limit: 5 })).results,
    )
  const [{ fileId } = { fileId: 0 }] = await found()
  const move = (state: 'infected' | 'available') =>
    house.features.engineStore.transaction((tx) =>
      state === 'available'
        ? tx.effects.setFileState({ fileId, version: 1, state, problem: null })
        : tx.effects.setFileState({ fileId, version: 1, state, problem: { code: 'file_infected', detail: 'EICAR' } }),
    )
  expect(await move('infected')).toBe(true)
  expect(await found()).toEqual([])
  expect(await move('infected')).toBe(false)
  expect(await move('available')).toBe(true)
  expect(await found()).toHaveLength(1)
})
