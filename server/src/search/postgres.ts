// The search index inside PostgreSQL: one tsvector per file, with a GIN index over all of them. Whoever asks sees the
// entries of his tenant only, by row-level security.

import { decodeCursor, encodeCursor } from '../platform/cursor.ts'
import {
  deleteEntry,
  findEntry,
  hideEntry,
  matchEntries,
  searchEntries,
  upsertEntry,
  type EntryRow,
} from './search-entry.sql.ts'
import type { SearchIndex, SearchResult } from './search-index.ts'
import { metadataText, namePieces, parseQuery, snippetOf, toSearchText, type SearchTerm } from './search-text.ts'

const bodyLengthMax = 1_000_000
/** Ranking reads every document that it ranks. */
const candidatesCountMax = 10_000
const limitMax = 200

export function createPostgresSearch(): SearchIndex {
  const put: SearchIndex['put'] = async (tx, tenantId, document) => {
    const { fileId, contentType, metadata } = document
    // NUL is the one character that the database cannot hold.
    const [name, body] = [withoutNul(document.name), withoutNul(document.body).slice(0, bodyLengthMax).toWellFormed()]
    const words = {
      name: toSearchText(name),
      pieces: namePieces(name),
      metadata: toSearchText(metadataText(metadata)),
      body: toSearchText(body),
    }
    await upsertEntry(tx, { tenantId, fileId, name, contentType, metadata, body, words })
  }
  return {
    put,
    async rename(tx, fileId, { name, metadata }) {
      const entry = await findEntry(tx, fileId)
      if (entry === undefined) return
      await put(tx, entry.tenant_id, { fileId, name, metadata, contentType: entry.content_type, body: entry.body })
    },
    hide: hideEntry,
    remove: deleteEntry,
    async search(tx, query) {
      const terms = parseQuery(withoutNul(query.text))
      const question = ['search', terms, query.contentType ?? null]
      const after = query.after === undefined ? undefined : decodeCursor(query.after, question, [0.5, 0])
      const required = terms.filter(({ excluded }) => !excluded)
      if (required.length === 0) return { results: [], nextCursor: null }
      const limit = Math.min(query.limit, limitMax)
      const rows = await searchEntries(tx, {
        ...toWords(terms),
        ...(query.contentType !== undefined && { contentType: withoutNul(query.contentType) }),
        ...(after !== undefined && { after: { score: after[0], fileId: after[1] } }),
        candidatesCountMax,
        limit: limit + 1,
      })
      const page = rows.slice(0, limit)
      const last = rows.length > limit ? page.at(-1) : undefined
      return {
        results: page.map((row) => toResult(row, terms)),
        nextCursor: last === undefined ? null : encodeCursor(question, [last.score, last.file_id]),
      }
    },
    async match(tx, { text, afterFileId, limit }) {
      const words = toWords(parseQuery(withoutNul(text)))
      return words.required.length === 0 ? [] : matchEntries(tx, { ...words, afterFileId, limit })
    },
  }
}

const toWords = (terms: readonly SearchTerm[]) => ({
  required: terms
    .filter(({ excluded }) => !excluded)
    .map(({ words, kind, unfinished }) => ({ words, isWord: kind === 'word', unfinished })),
  excluded: terms.filter(({ excluded }) => excluded).map(({ words }) => words),
})

const toResult = (row: EntryRow, terms: readonly SearchTerm[]): SearchResult => ({
  fileId: row.file_id,
  name: row.name,
  contentType: row.content_type,
  score: row.score,
  snippet: snippetOf(row.body_part, terms),
  metadata: row.metadata,
})

const withoutNul = (text: string): string => text.replaceAll('\0', ' ')
