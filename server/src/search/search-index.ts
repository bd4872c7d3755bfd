// search/ finds files by any piece of their name, metadata and extracted text. It owns the documents, how a question is
// read, and the order of answers; it knows files by their ids only, and nothing of who may see them.
// Invariants: a document and a question belong to the tenant of the transaction they come in; a document is written with
// the change that it tells of, or not at all. search-index.contract.ts checks adapters.

import type { Tx } from '../platform/database.ts'

export interface SearchDocument {
  fileId: number
  name: string
  contentType: string
  metadata: Record<string, unknown>
  /** Extracted text, at most 1,000,000 characters. */
  body: string
}

export interface SearchQuery {
  text: string
  /** Exact, or with a wildcard as its second part: image/*. */
  contentType?: string
  limit: number
  /** Cursor of the page before. */
  after?: string
}

export interface SearchResult {
  fileId: number
  name: string
  contentType: string
  score: number
  /** Of the text, with found words between « and »; null when they stand elsewhere. */
  snippet: string | null
  metadata: Record<string, unknown>
}

/** The transaction decides the tenant; what it commits becomes findable with it. */
export interface SearchIndex {
  put(tx: Tx, tenantId: number, document: SearchDocument): Promise<void>
  /** Makes an entry findable by its new name and metadata. A file without an entry stays without. */
  rename(tx: Tx, fileId: number, named: Pick<SearchDocument, 'name' | 'metadata'>): Promise<void>
  /** Keeps an entry out of the answers, or lets it back in. */
  hide(tx: Tx, fileId: number, hidden: boolean): Promise<void>
  remove(tx: Tx, fileId: number): Promise<void>
  /**
   * Best first. Any user text is a valid query: all of its words must be found, the last one may be unfinished, quotes
   * make phrases, a leading minus excludes, and a piece of a file's name finds the file. Throws
   * Problem('invalid_request') for a cursor of another query.
   */
  search(tx: Tx, query: SearchQuery): Promise<{ results: SearchResult[]; nextCursor: string | null }>
  /** Every file that the text finds, in the order of their ids, a page at a time; a text without words finds none. */
  match(tx: Tx, query: { text: string; afterFileId: number; limit: number }): Promise<number[]>
}
