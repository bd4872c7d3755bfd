// What every search index promises. A test hands in an empty one inside a transaction's reach.

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Tx } from '../platform/database.ts'
import type { SearchDocument, SearchIndex, SearchQuery } from './search-index.ts'

export interface SearchIndexUnderTest {
  index: SearchIndex
  withTenant<T>(tenantId: number, work: (tx: Tx) => Promise<T>): Promise<T>
  close(): Promise<void>
}

export function describeSearchIndex(name: string, open: () => Promise<SearchIndexUnderTest>): void {
  describe(name, () => {
    let under: SearchIndexUnderTest
    let tenantId = 0
    let fileId = 0
    beforeAll(async () => {
      under = await open()
    })
    afterAll(() => under.close())

    const put = async (document: Partial<SearchDocument>, tenant = tenantId): Promise<number> => {
      const complete = {
        fileId: ++fileId,
        name: 'file.bin',
        contentType: 'text/plain',
        metadata: {},
        body: '',
        ...document,
      }
      await under.withTenant(tenant, (tx) => under.index.put(tx, tenant, complete))
      return complete.fileId
    }
    const search = (text: string, query: Partial<SearchQuery> = {}, tenant = tenantId) =>
      under.withTenant(tenant, (tx) => under.index.search(tx, { text, limit: 50, ...query }))
    const found = async (text: string, query?: Partial<SearchQuery>): Promise<number[]> =>
      (await search(text, query)).results.map((result) => result.fileId)
    const fresh = (): void => void (tenantId += 1)

    it('lists every file that a text finds in the order of their ids', async () => {
      fresh()
      const ids: number[] = []
      for (let index = 0; index < 5; index++) ids.push(await put({ body: 'the invoice of march' }))
      await put({ body: 'the receipt of march' })
      const match = (afterFileId: number, limit: number, text = 'invoice march') =>
        under.withTenant(tenantId, (tx) => under.index.match(tx, { text, afterFileId, limit }))
      expect(await match(0, 3)).toEqual(ids.slice(0, 3))
      expect(await match(ids[2]!, 10)).toEqual(ids.slice(3))
      expect(await match(0, 10, '-invoice')).toEqual([])
    })

    it('finds by name, metadata and text, in that order of worth', async () => {
      fresh()
      const inText = await put({ body: 'the invoice was paid in march' })
      const inMetadata = await put({ metadata: { kind: ['invoice'] } })
      const inName = await put({ name: 'invoice.pdf' })
      await put({ body: 'nothing of the kind' })
      expect(await found('invoice')).toEqual([inName, inMetadata, inText])
      expect(await found('KIND invoice')).toEqual([inMetadata])
    })

    it('wants every word, and finds the last one unfinished', async () => {
      fresh()
      const both = await put({ body: 'quarterly report of the northern branch' })
      await put({ body: 'quarterly figures' })
      expect(await found('quarterly nor')).toEqual([both])
      expect(await found('quart northern')).toEqual([])
      expect(await found('quarterly nor ')).toEqual([])
    })

    it('takes quotes for a phrase and a minus for what must not be there', async () => {
      fresh()
      const exact = await put({ body: 'the red fox jumps' })
      const apart = await put({ body: 'the fox is red' })
      expect(await found('"red fox"')).toEqual([exact])
      expect(await found('"red fox')).toEqual([exact])
      expect(new Set(await found('red fox'))).toEqual(new Set([exact, apart]))
      expect(await found('fox -jumps')).toEqual([apart])
      expect(await found('fox -"red fox"')).toEqual([apart])
      expect(await found('-fox')).toEqual([])
    })

    it('finds a piece of a file’s name, but not a piece of a word of its text', async () => {
      fresh()
      const file = await put({ name: 'Jahresabschluss_2024-final(3).XLSX' })
      await put({ body: 'jahresabschluss' })
      for (const piece of ['abschluss', 'ABSCH', '2024', 'final', 'inal', 'xlsx', 'jahres abschluss 2024'])
        expect(await found(`${piece} `), piece).toContain(file)
      expect(await found('schluss ')).toEqual([file])
      expect(await found('nowhere')).toEqual([])
    })

    it('works in every language, with or without spaces between words', async () => {
      fresh()
      const texts = [
        '数据处理平台很快',
        'データ処理は速い',
        'Быстрая обработка файлов',
        'معالجة الملفات',
        'การประมวลผลไฟล์',
        'ΕΠΕΞΕΡΓΑΣΊΑ αρχείων',
        'Größe übermäßig',
        'फ़ाइल प्रोसेसिंग',
      ]
      const ids: number[] = []
      for (const body of texts) ids.push(await put({ body }))
      const queries = [
        '处理',
        '処理は',
        'обработка',
        'الملفات',
        'ผลไฟล์',
        'αρχείων',
        'ÜBERMÄSSIG'.replace('SS', 'ß'),
        'प्रोसेसिंग',
      ]
      for (const [index, query] of queries.entries()) expect(await found(query), query).toEqual([ids[index]])
    })

    it('shows where in the text the words stand', async () => {
      fresh()
      await put({ body: `${'before '.repeat(2_000)}the Invoice of «March» was paid${' after'.repeat(2_000)}` })
      const { results } = await search('invoice march')
      expect(results[0]?.snippet).toMatch(/^… .*the «Invoice» of ‹«March»› was paid.* …$/)
      expect(results[0]?.snippet?.length).toBeLessThan(300)
      await put({ name: 'only.name', body: 'something else' })
      expect((await search('only')).results[0]?.snippet).toBeNull()
    })

    it('gives pages that miss and double nothing, under a cursor for this query only', async () => {
      fresh()
      const ids: number[] = []
      for (let i = 0; i < 23; i++)
        ids.push(await put({ body: `apple ${'pear '.repeat(i % 4)}`, name: i % 5 === 0 ? 'apple' : 'x' }))
      const pages: number[][] = []
      let after: string | undefined
      do {
        const { results, nextCursor } = await search('apple', { limit: 5, ...(after !== undefined && { after }) })
        pages.push(results.map((result) => result.fileId))
        after = nextCursor ?? undefined
      } while (after !== undefined)
      expect(pages.map((page) => page.length)).toEqual([5, 5, 5, 5, 3])
      expect(new Set(pages.flat())).toEqual(new Set(ids))
      const { nextCursor } = await search('apple', { limit: 5 })
      await expect(search('pear', { limit: 5, after: nextCursor! })).rejects.toMatchObject({ code: 'invalid_request' })
      await expect(search('apple', { after: 'nonsense' })).rejects.toMatchObject({ code: 'invalid_request' })
    })

    it('narrows to a type or a family of types', async () => {
      fresh()
      const png = await put({ name: 'tree', contentType: 'image/png' })
      const jpeg = await put({ name: 'tree', contentType: 'image/jpeg' })
      await put({ name: 'tree', contentType: 'text/plain' })
      expect(await found('tree', { contentType: 'image/png' })).toEqual([png])
      expect(await found('tree', { contentType: 'image/*' })).toEqual([jpeg, png])
      expect(await found('tree', { contentType: "image/%' or true --" })).toEqual([])
    })

    it('replaces an entry, renames it, hides it and forgets it', async () => {
      fresh()
      const id = await put({ name: 'first', body: 'oldtext' })
      await put({ fileId: id, name: 'second', body: 'newtext' })
      expect(await found('oldtext')).toEqual([])
      await under.withTenant(tenantId, (tx) =>
        under.index.rename(tx, id, { name: 'third', metadata: { color: 'red' } }),
      )
      expect([await found('second'), await found('third'), await found('red'), await found('newtext')]).toEqual([
        [],
        [id],
        [id],
        [id],
      ])
      await under.withTenant(tenantId, (tx) => under.index.hide(tx, id, true))
      expect(await found('third')).toEqual([])
      await put({ fileId: id, name: 'third', body: 'indexed while hidden' })
      expect(await found('third')).toEqual([])
      await under.withTenant(tenantId, (tx) => under.index.hide(tx, id, false))
      expect(await found('third')).toEqual([id])
      await under.withTenant(tenantId, (tx) => under.index.remove(tx, id))
      expect(await found('third')).toEqual([])
      await under.withTenant(tenantId, (tx) => under.index.rename(tx, id, { name: 'third', metadata: {} }))
      expect(await found('third')).toEqual([])
    })

    it('never shows one tenant what is another’s', async () => {
      fresh()
      const id = await put({ name: 'secret' })
      const stranger = tenantId + 1_000
      expect((await search('secret', {}, stranger)).results).toEqual([])
      await under.withTenant(stranger, (tx) => under.index.remove(tx, id))
      await under.withTenant(stranger, (tx) => under.index.hide(tx, id, true))
      await under.withTenant(stranger, (tx) => under.index.rename(tx, id, { name: 'stolen', metadata: {} }))
      expect(await found('secret')).toEqual([id])
    })

    it('bears texts of every kind', async () => {
      fresh()
      const words = Array.from({ length: 140_000 }, (_, i) => `w${((i * 2_654_435_761) % 2 ** 32).toString(36)}`).join(
        ' ',
      )
      const large = await put({ name: 'large', body: `needle ${words}` })
      const long = await put({ name: 'long', body: `needle ${'x'.repeat(999_000)}` })
      const odd = await put({
        name: 'a\0b',
        body: 'needle \0 \ud800 \uffff',
        metadata: { '': [null, true, 1.5, { a: '<b>' }] },
      })
      expect(new Set(await found('needle'))).toEqual(new Set([large, long, odd]))
    })

    it('answers any text without failing', async () => {
      fresh()
      const id = await put({ name: 'anchor.txt', body: 'the quick brown fox' })
      const piece = fc.constantFrom(
        '"',
        '-',
        ':*',
        '&',
        '|',
        '!',
        '(',
        ')',
        '<->',
        "'",
        '\\',
        '%',
        '*',
        '\0',
        '\ud800',
        ' ',
        'fox',
        'or',
        '🦊',
        'a:b',
        '--',
        '1e999',
        '-0x',
        '\u202e',
        '<2>',
        'ﬁ',
        '.',
      )
      const hostile = fc.oneof(
        fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
        fc.string({ unit: 'binary', maxLength: 60 }),
      )
      await fc.assert(
        fc.asyncProperty(hostile, async (text) => {
          const { results } = await search(text)
          expect(results.every((result) => result.fileId === id)).toBe(true)
        }),
        { numRuns: 400 },
      )
      expect(await found('x'.repeat(500))).toEqual([])
      expect(await found('fox '.repeat(100))).toEqual([id])
    })
  })
}
