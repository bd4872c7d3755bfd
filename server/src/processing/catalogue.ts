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
  /** Works on what steps before it made, so it cannot be a first step. */
  readonly joins?: boolean
  /** Programs it cannot do without. */
  readonly programs?: readonly string[]
  /** Why it cannot run here; left out where it can. */
  readonly unavailableReason?: string
}

export interface Catalogue {
  find(name: string): CatalogueEntry | undefined
  /** By name. */
  readonly entries: readonly CatalogueEntry[]
}

/**
 * The catalogue of this machine: a processor whose program is missing is in it, with the reason. Workers run the same
 * image as the role that answers, so what holds here holds there.
 */
export async function createCatalogue(deps: {
  processors: Readonly<Record<string, CatalogueEntry>>
  /** Whether a program can be started by this name. */
  hasProgram(name: string): Promise<boolean>
}): Promise<Catalogue> {
  const named = await Promise.all(
    Object.entries(deps.processors).map(async ([name, entry]) => {
      const present = await Promise.all((entry.programs ?? []).map((program) => deps.hasProgram(program)))
      const missing = (entry.programs ?? []).filter((_, index) => !present[index])
      const reason = missing.length === 0 ? {} : { unavailableReason: `Not installed: ${missing.join(', ')}.` }
      return [name, { ...entry, ...reason }] as const
    }),
  )
  const byName = new Map(named.sort(([left], [right]) => (left < right ? -1 : 1)))
  return { find: (name) => byName.get(name), entries: [...byName.values()] }
}
