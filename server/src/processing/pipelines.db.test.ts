import { PipelineResource, ProcessorResource } from '@millrace/contract'
import { Compile } from 'typebox/compile'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Principal } from '../platform/principal.ts'
import type { RequestContext } from '../platform/routes.ts'
import { createTestDatabase, type TestDatabase } from '../testing/database.ts'
import { pipelineRoutes } from './pipeline-routes.ts'
import { createPipelines, type PipelineStore } from './pipelines.ts'
import { testCatalogue } from './testing/processors.ts'

let test: TestDatabase
let tenantId = 0

beforeAll(async () => {
  test = await createTestDatabase()
})
afterAll(() => test.drop())
beforeEach(async () => {
  const { rows } = await test.database.query<{ id: number }>(`insert into tenant (name) values ('test') returning id`)
  tenantId = rows[0]!.id
})

const text = (name: string, accept: string, step = 'check') =>
  `name: ${name}\naccept: [${accept}]\nsteps:\n  ${step}: { uses: file.ingest }\n  b: { uses: document.text, needs: [${step}] }\n`
const image = text('image', 'image/*')
const other = text('other', '"*/*"')
const open = (builtIn = [image, other]): PipelineStore => createPipelines({ catalogue: testCatalogue, builtIn })
let pipelines = open()
beforeEach(() => void (pipelines = open()))

const choose = (contentType: string, pipeline?: string, of = pipelines) =>
  test.database
    .withTenant(tenantId, (tx) => of.choose(tx, { tenantId, contentType, ...(pipeline && { pipeline }) }))
    .then(({ name, number }) => `${name}@${number}`)
const create = (source: string, of = pipelines) =>
  test.database.withTenant(tenantId, (tx) => of.create(tx, { tenantId, source, actor: 'system', requestId: 'request' }))
const countVersions = async (): Promise<number> => {
  const { rows } = await test.database.query('select from pipeline_version where tenant_id = $1', [tenantId])
  return rows.length
}

describe('without a pipeline named', () => {
  it('the most exact accept wins, then the own one, then the youngest', async () => {
    expect([await choose('image/png'), await choose('text/plain')]).toEqual(['image@1', 'other@1'])
    await create(text('everything', '"*/*"'))
    expect([await choose('image/png'), await choose('text/plain')]).toEqual(['image@1', 'everything@1'])
    await create(text('photos', 'image/*'))
    await create(text('pngs', 'image/png'))
    expect([await choose('image/PNG; q=1'), await choose('image/gif')]).toEqual(['pngs@1', 'photos@1'])
    await create(text('drawings', 'image/*'))
    expect(await choose('image/gif')).toBe('drawings@1')
    await create(text('drawings', 'image/svg+xml'))
    expect(await choose('image/gif')).toBe('photos@1')
  })

  it('a type that nothing takes is refused', async () => {
    await expect(choose('text/plain', undefined, open([image]))).rejects.toMatchObject({
      code: 'pipeline_not_accepted',
    })
  })
})

describe('a pipeline by name', () => {
  it('is its newest version, or the one with the number', async () => {
    await create(text('mine', 'image/*'))
    await create(text('mine', 'image/*', 'other'))
    expect([await choose('image/png', 'mine'), await choose('image/png', 'mine@1')]).toEqual(['mine@2', 'mine@1'])
  })

  it.each(['nope', 'mine@9', 'mine@0', 'mine@', 'MINE', '', "x' or 1=1", 'a'.repeat(300), 'mine@99999999999'])(
    'is unknown when there is none: %s',
    async (name) => {
      await create(text('mine', 'image/*'))
      const choice = test.database.withTenant(tenantId, (tx) =>
        pipelines.choose(tx, { tenantId, contentType: 'image/png', pipeline: name }),
      )
      await expect(choice).rejects.toMatchObject({ code: 'pipeline_unknown' })
    },
  )

  it('is refused for a type that it does not take', async () => {
    await expect(choose('text/plain', 'image')).rejects.toMatchObject({
      code: 'pipeline_not_accepted',
      detail: 'Pipeline "image" takes image/*; the file is text/plain.',
    })
  })

  it("is never another tenant's", async () => {
    await create(text('mine', 'image/*'))
    const { rows } = await test.database.query<{ id: number }>(`insert into tenant (name) values ('b') returning id`)
    tenantId = rows[0]!.id
    await expect(choose('image/png', 'mine')).rejects.toMatchObject({ code: 'pipeline_unknown' })
  })

  it('keeps the order of its steps', async () => {
    const steps = ['zebra', 'a', 'middle', 'bb']
    const lines = steps.map((name) => `  ${name}: { uses: file.ingest }`)
    const { definition } = await create(`name: order\naccept: ["*/*"]\nsteps:\n${lines.join('\n')}`)
    expect(Object.keys(definition.steps)).toEqual(['collect', ...steps, 'archive'])
  })
})

describe('a built-in pipeline', () => {
  it('becomes a version of the tenant once, however often it is chosen and however many choose at once', async () => {
    const both = await Promise.all([open(), open(), open()].map((each) => choose('image/png', 'image', each)))
    expect(both).toEqual(['image@1', 'image@1', 'image@1'])
    await choose('image/png')
    expect(await countVersions()).toBe(2)
  })

  it('gets its next number when a release brings another text, and keeps it while both releases run', async () => {
    await choose('image/png')
    const next = open([text('image', 'image/*', 'better'), other])
    expect(await choose('image/png', 'image', next)).toBe('image@2')
    expect(await choose('image/png', 'image', open())).toBe('image@2')
    expect(await countVersions()).toBe(3)
  })

  it('is left behind by a version that the tenant writes, and stays reachable by its number', async () => {
    const own = await create(text('image', 'image/*', 'own'))
    expect([own.number, own.builtIn]).toEqual([2, false])
    const next = open([text('image', 'image/*', 'better'), other])
    expect(await choose('image/png', 'image', next)).toBe('image@2')
    expect(await choose('image/png', 'image@1', next)).toBe('image@1')
  })

  it('with a fault is a bug of ours and stops the start', () => {
    expect(() => open(['name: broken'])).toThrow('Invariant')
  })
})

describe('the operations', () => {
  const principal: Principal = { kind: 'user', tenantId: 0, role: 'admin', operator: false, actor: 'system' }
  // The handlers read nothing else of it.
  const context = () => ({ principal: { ...principal, tenantId }, requestId: 'request' }) as unknown as RequestContext
  const routes = () => pipelineRoutes({ database: test.database, catalogue: testCatalogue, pipelines })
  const none = { params: undefined, query: undefined, body: undefined } as never
  const post = (source: string) =>
    routes().createPipeline({ ...(none as object), body: { source } } as never, context())
  const get = (name: string, version?: number) =>
    routes().getPipeline(
      { params: { name }, query: version === undefined ? {} : { version }, body: undefined },
      context(),
    )
  const page = (query: { limit?: number; cursor?: string }) =>
    routes().listPipelines({ query, params: undefined, body: undefined }, context())

  it('store a version, audited, and give the same text the same version', async () => {
    const first = await post(text('mine', 'image/*'))
    const again = await post(text('mine', 'image/*'))
    const second = await post(text('mine', 'image/png'))
    expect([first, again, second]).toMatchObject([{ version: 1 }, { version: 1 }, { version: 2, built_in: false }])
    expect(Compile(PipelineResource).Check(second)).toBe(true)
    const { rows } = await test.database.query('select action, detail from audit_event where tenant_id = $1', [
      tenantId,
    ])
    expect(rows).toEqual([
      { action: 'pipeline.create', detail: { version: 1 } },
      { action: 'pipeline.create', detail: { version: 2 } },
    ])
  })

  it('number versions without a gap when many are written at once', async () => {
    const made = await Promise.all(
      Array.from({ length: 12 }, (_, at) => post(text('mine', 'image/*', `step${at}`)) as Promise<PipelineResource>),
    )
    const numbers = Array.from({ length: 12 }, (_, at) => at + 1)
    expect(new Set(made.map(({ version }) => version))).toEqual(new Set(numbers))
  })

  it('refuse a text with faults, all of which are told', async () => {
    await expect(post('name: A\nsteps: {}')).rejects.toMatchObject({
      code: 'pipeline_invalid',
      detail: 'Line 1, column 1: "accept" is missing. (and 2 more)',
      errors: [{ path: '/accept' }, { path: '/name', line: 1, column: 7 }, { path: '/steps', line: 2 }],
    })
    expect(await countVersions()).toBe(0)
  })

  it('check a text without storing it', async () => {
    const validate = (source: string) =>
      routes().validatePipeline({ ...(none as object), body: { source } } as never, context())
    expect(await validate(image)).toEqual({ valid: true, errors: [] })
    expect(await validate('{')).toMatchObject({ valid: false, errors: [{ line: 1 }] })
    expect(await countVersions()).toBe(0)
  })

  it('show a version by name, by number and by both in one', async () => {
    await post(text('mine', 'image/*'))
    await post(text('mine', 'image/png'))
    expect([await get('mine'), await get('mine', 1), await get('mine@1'), await get('image')]).toMatchObject([
      { version: 2 },
      { version: 1, accept: ['image/*'] },
      { version: 1 },
      { version: 1, built_in: true, source: image },
    ])
    await expect(get('nope')).rejects.toMatchObject({ code: 'not_found' })
    await expect(get('mine', 3)).rejects.toMatchObject({ code: 'not_found' })
    await expect(get('mine@1', 1)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('list the newest version of each name, page by page', async () => {
    for (const name of ['zoo', 'ape', 'cat']) await post(text(name, 'image/*'))
    await post(text('cat', 'image/png'))
    const seen: string[] = []
    let cursor: string | null = null
    do {
      // A list answers with JSON.
      const part = (await page({ limit: 2, ...(cursor && { cursor }) })) as {
        items: PipelineResource[]
        next_cursor: string | null
      }
      seen.push(...part.items.map((item) => `${item.name}@${item.version}`))
      cursor = part.next_cursor
    } while (cursor !== null)
    expect(seen).toEqual(['ape@1', 'cat@2', 'image@1', 'other@1', 'zoo@1'])
    await expect(page({ cursor: 'nonsense' })).rejects.toMatchObject({ code: 'invalid_request' })
  })

  it('list the processors, with the reason of those that cannot run here', async () => {
    const { items } = (await routes().listProcessors(none, context())) as { items: ProcessorResource[] }
    expect(items.every((item) => Compile(ProcessorResource).Check(item))).toBe(true)
    expect(items.map((item) => item.name)).toContain('file.ingest')
  })
})
