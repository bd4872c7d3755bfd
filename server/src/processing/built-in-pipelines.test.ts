import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { readBuiltInPipelines } from '../pipeline/built-in.ts'
import { processors } from '../pipeline/registry.ts'
import { createCatalogue, type Catalogue } from './catalogue.ts'
import { acceptRank } from './content-type.ts'
import type { PipelineDefinition } from './definition.ts'
import { run as classify } from '../pipeline/analyzer/classify-rules.run.ts'
import { runProcessor } from '../pipeline/testing/run-processor.ts'
import { parsePipeline } from './pipeline-parser.ts'

let catalogue: Catalogue
let definitions: PipelineDefinition[]

beforeAll(async () => {
  catalogue = await createCatalogue({ processors, hasProgram: async () => true })
  definitions = (await readBuiltInPipelines()).map((source) => {
    const parsed = parsePipeline(source, catalogue)
    if ('faults' in parsed) throw new Error(`${source}\n${JSON.stringify(parsed.faults, null, 2)}`)
    return parsed.definition
  })
})

describe('the built-in pipelines', () => {
  it('have no fault, and there is one for each kind of file', () => {
    expect(definitions.map(({ name }) => name).sort((a, b) => a.localeCompare(b))).toEqual([
      'archive',
      'document',
      'image',
      'media',
      'other',
      'table',
      'text',
    ])
  })

  it('check every file before anything else is done with it, and pass every stage, of transform and analyze at least one', () => {
    for (const { name, steps } of definitions) {
      const stages = new Set(Object.values(steps).map(({ uses }) => catalogue.find(uses)?.stage ?? 'unknown'))
      expect(steps['check'], name).toMatchObject({ uses: 'file.ingest', needs: ['collect'] })
      expect(
        Object.entries(steps).filter(([step, { needs }]) => step !== 'check' && needs.includes('collect')),
        name,
      ).toEqual([])
      expect(stages.has('transform') || stages.has('analyze'), name).toBe(true)
      for (const stage of ['collect', 'validate', 'index', 'archive'] as const) expect(stages, name).toContain(stage)
    }
  })

  it.each([
    ['image/png', 'image'],
    ['image/svg+xml', 'image'],
    ['text/csv', 'table'],
    ['application/json', 'table'],
    ['application/vnd.apache.parquet', 'table'],
    ['application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', 'table'],
    ['application/pdf', 'document'],
    ['application/vnd.openxmlformats-officedocument.wordprocessingml.document', 'document'],
    ['text/html', 'document'],
    ['message/rfc822', 'document'],
    ['application/zip', 'archive'],
    ['application/gzip', 'archive'],
    ['text/plain', 'text'],
    ['text/x-python', 'text'],
    ['video/mp4', 'media'],
    ['audio/mpeg', 'media'],
    ['application/octet-stream', 'other'],
    ['font/woff2', 'other'],
  ])('take %s by "%s" and no other as exactly', (contentType, expected) => {
    const ranked = definitions.map(({ name, accept }) => ({ name, rank: acceptRank(accept, contentType) }))
    const best = Math.max(...ranked.map(({ rank }) => rank))
    expect(ranked.filter(({ rank }) => rank === best).map(({ name }) => name)).toEqual([expected])
  })

  it('give no processor a file that it does not take', () => {
    for (const { name, accept, steps } of definitions)
      for (const [step, { uses, if: condition }] of Object.entries(steps)) {
        const accepts = catalogue.find(uses)?.accepts ?? []
        // What a step does not take it is kept from by a condition, or it works on what others made.
        if (condition !== undefined || uses === 'text.language') continue
        for (const pattern of accept) {
          const takes = accepts.includes(pattern) || acceptRank(accepts, pattern.replace('/*', '/anything')) > 0
          expect(takes, `${name}.${step}: ${uses} does not take ${pattern}`).toBe(true)
        }
      }
  })

  it('label a file that is nothing else by its kind', async () => {
    const { steps } = definitions.find(({ name }) => name === 'other')!
    const labelsOf = async (contentType: string): Promise<unknown> => {
      const file = { name: 'a', contentType, bytes: Buffer.from([0, 255, 1]) }
      await using ran = await runProcessor(classify, [file], { parameters: steps['kind']?.with ?? {} })
      return ran.outcome.kind === 'done' ? ran.outcome.result : ran.outcome
    }
    expect(await labelsOf('font/woff2')).toMatchObject({ labels: ['font'] })
    expect(await labelsOf('application/octet-stream')).toMatchObject({ labels: ['unknown'] })
    expect(await labelsOf('application/x-shellscript')).toMatchObject({ labels: [] })
  })
})

it('the page about pipelines has examples without a fault, and names every key of a step', async () => {
  const page = await readFile(new URL('../../../docs/reference/pipelines.md', import.meta.url), 'utf8')
  const examples = [...page.matchAll(/^```yaml\n(.+?)^```/gms)].map(([, source = '']) => source)
  expect(examples).not.toEqual([])
  for (const source of examples) expect(parsePipeline(source, catalogue)).toHaveProperty('definition')
  const parsed = parsePipeline('name: a\naccept: ["*/*"]\nsteps: { a: { uses: file.ingest, nothing: 1 } }\n', catalogue)
  const [, keys = ''] = /Known here: (.+)\./.exec('faults' in parsed ? (parsed.faults[0]?.message ?? '') : '') ?? []
  for (const key of keys.split(', ')) expect(page).toContain(`| \`${key}\``)
})
