// Search over names, metadata and extracted text, always inside one tenant. search-index.contract.ts checks adapters.

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
  snippet: string | null
  metadata: Record<string, unknown>
}

/** The transaction decides the tenant; what it commits becomes findable with it. */
export interface SearchIndex {
  put(tx: Tx, tenantId: number, document: SearchDocument): Promise<void>
  remove(tx: Tx, fileId: number): Promise<void>
  /** Best first. Any user text is a valid query; quotes make phrases, a leading minus excludes. */
  search(tx: Tx, query: SearchQuery): Promise<{ results: SearchResult[]; nextCursor: string | null }>
}
