// Search finds files by name, by their owner's metadata and by the text that was taken from them.

import type { Client } from '@millrace/contract'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as images from '../fixtures/images.ts'
import { docx } from '../fixtures/office.ts'
import { makePdf } from '../fixtures/pdf.ts'
import { utf8 } from '../fixtures/texts.ts'
import { openHouse, type House } from './house.ts'
import { runFile } from './jobs.ts'

let house: House
let client: Client

beforeAll(async () => {
  house = await openHouse()
  client = house.client
  await runFile(client, {
    name: 'invoice-4711.pdf',
    bytes: makePdf([{ lines: ['Payable to the Quixotic Windmill Company'] }]),
  })
  await runFile(client, { name: 'contract.docx', bytes: docx(['The lessee waters the rhododendron.']) })
  await runFile(client, { name: 'Überweisung März.txt', bytes: utf8('Betrag erhalten, herzlichen Dank.\n') })
  await runFile(
    client,
    { name: 'beach.png', bytes: await images.png({ width: 64, height: 64 }) },
    {
      metadata: { album: 'Pellworm', camelCase: { snake_case: 1 } },
    },
  )
}, 180_000)
afterAll(() => house?.close())

const namesFor = async (q: string): Promise<string[]> =>
  (await client.call('search', { query: { q } })).items.map(({ name }) => name)

test.each([
  ['a piece of a name', 'invoice-47', 'invoice-4711.pdf'],
  ['a name of another language', 'überweisung', 'Überweisung März.txt'],
  ['words of a PDF', 'quixotic windmill', 'invoice-4711.pdf'],
  ['words of a document', 'rhododendron', 'contract.docx'],
  ['words of a text', 'herzlichen', 'Überweisung März.txt'],
  ["the owner's metadata", 'Pellworm', 'beach.png'],
])('finds by %s', async (_, query, name) => {
  expect(await namesFor(query)).toContain(name)
})

test('finds nothing where there is nothing, and shows where it found something', async () => {
  expect(await namesFor('zzyzx')).toEqual([])
  const { items } = await client.call('search', { query: { q: 'rhododendron' } })
  expect(items[0]?.snippet).toContain('«')
  expect(items[0]).toMatchObject({ file_id: expect.stringMatching(/^file_/), score: expect.any(Number) })
})

test('keeps the keys of metadata as they were written', async () => {
  const { items } = await client.call('listFiles', { query: { name: 'beach.png' } })
  expect(items[0]?.metadata).toMatchObject({ album: 'Pellworm', camelCase: { snake_case: 1 } })
})

test('does not find what is in the trash', async () => {
  const { items } = await client.call('search', { query: { q: 'quixotic' } })
  await client.call('deleteFile', { params: { file_id: items[0]?.file_id ?? '' } })
  expect(await namesFor('quixotic')).toEqual([])
})
