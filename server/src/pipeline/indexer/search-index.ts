// search.index: makes the file findable by its name, its metadata, what earlier steps told about it, and its text.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

/** The result of search.index: what the file is findable by, beside its name and the text found by the job. */
export interface SearchEntry {
  kind: 'search-entry'
  /** The file's own metadata, completed with what the steps found. */
  metadata: Record<string, unknown>
}

export const searchIndex = defineProcessor({
  name: 'search.index',
  stage: 'index',
  version: 1,
  summary: 'Makes the file findable by its name, its metadata, what the steps before found out, and its text.',
  accepts: ['*/*'],
  parameters: Type.Object({}, { additionalProperties: false }),
  limits: { memoryBytes: 256 * 1024 ** 2, timeoutMs: 30_000, outputBytesMax: 0, outputFilesMax: 0 },
  costClass: 'S',
  cost: { baseMs: 1, perMbMs: 0 },
  isolation: 'supervisor',
})
