// What the engine must know of a processor; the registry of pipeline/ fits this shape, and roles/ hands it in.

import type { StageName } from '@millrace/contract'
import type { TSchema } from 'typebox'

export interface CatalogueEntry {
  readonly name: string
  readonly stage: StageName
  /** Changes whenever its output could. */
  readonly version: number
  readonly summary: string
  /** Content types, with * as a wildcard part. */
  readonly accepts: readonly string[]
  /** Parameters ("with"): an object schema with descriptions and defaults. */
  readonly parameters: TSchema
  readonly limits: { readonly memoryBytes: number; readonly timeoutMs: number }
  /** Expected worker time: a base and a share per megabyte of input. */
  readonly cost: { readonly baseMs: number; readonly perMbMs: number }
}

export interface Catalogue {
  find(name: string): CatalogueEntry | undefined
  readonly entries: readonly CatalogueEntry[]
}
