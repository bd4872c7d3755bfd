// The server's source as it is, but for a few lines: bounds so small that a history of seconds reaches them, and, when one
// is asked for, a planted bug. Production code has no switch for either: the text is changed on its way from the disk into
// this process, and every module that a variant reaches is one of its own.

import { registerHooks } from 'node:module'

export interface Mutation {
  /** Below server/src. */
  file: string
  /** Stands exactly once in the file. */
  find: string
  replace: string
}

const parameter = 'variant'

/** What a history of a few seconds would never reach. */
export const smallBounds: readonly Mutation[] = [
  { file: 'processing/advance.ts', find: 'expandChunkCount = 10_000', replace: 'expandChunkCount = 2' },
  { file: 'processing/engine.ts', find: 'cancelChunkCount = 10_000', replace: 'cancelChunkCount = 2' },
  { file: 'maintenance/rescuer.ts', find: 'lostCountMax = 100', replace: 'lostCountMax = 2' },
  { file: 'maintenance/promoter.ts', find: 'countMax = 1_000', replace: 'countMax = 2' },
  { file: 'maintenance/canceller.ts', find: 'tasksCountMax = 1_000', replace: 'tasksCountMax = 2' },
  { file: 'maintenance/canceller.ts', find: 'togetherCount = 250', replace: 'togetherCount = 2' },
  { file: 'processing/desk.ts', find: 'reportCountMax = 1_000', replace: 'reportCountMax = 2' },
  { file: 'maintenance/leader.ts', find: 'leaderLeaseMs = 6_000', replace: 'leaderLeaseMs = 1_500' },
  { file: 'maintenance/leader.ts', find: 'leaderRenewMs = 2_000', replace: 'leaderRenewMs = 500' },
  { file: 'maintenance/leader.ts', find: 'followerRetryMs = 1_000', replace: 'followerRetryMs = 500' },
  { file: 'maintenance/canceller.ts', find: 'cancelGraceMs = 4_000', replace: 'cancelGraceMs = 1_000' },
  { file: 'maintenance/maintenance.ts', find: 'busyMs = 5', replace: 'busyMs = 50' },
]

const variants = new Map<string, readonly Mutation[]>()
let isHooked = false

/** Imports a module of the server with everything it imports, changed so. */
export async function importVariant(module: URL, name: string, mutations: readonly Mutation[]): Promise<unknown> {
  if (!isHooked) hook()
  isHooked = true
  variants.set(name, mutations)
  const url = new URL(module)
  url.searchParams.set(parameter, name)
  return (await import(url.href)) as unknown
}

function hook(): void {
  const serverFolder = new URL('../../', import.meta.url).href
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const resolved = nextResolve(specifier, context)
      const variant = context.parentURL === undefined ? null : new URL(context.parentURL).searchParams.get(parameter)
      if (variant === null || !resolved.url.startsWith(serverFolder)) return resolved
      const url = new URL(resolved.url)
      url.searchParams.set(parameter, variant)
      return { ...resolved, url: url.href }
    },
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      const variant = url.startsWith(serverFolder) ? new URL(url).searchParams.get(parameter) : null
      if (variant === null || loaded.source === undefined || loaded.source === null) return loaded
      const file = new URL(url).href.slice(serverFolder.length).split('?')[0] ?? ''
      const mutations = (variants.get(variant) ?? []).filter((mutation) => mutation.file === file)
      if (mutations.length === 0) return loaded
      const text = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source)
      return { ...loaded, source: mutations.reduce(mutate, text) }
    },
  })
}

export function mutate(text: string, { file, find, replace }: Mutation): string {
  const at = text.indexOf(find)
  if (at < 0 || text.includes(find, at + 1)) throw new Error(`${file} does not have this text exactly once: ${find}`)
  return text.slice(0, at) + replace + text.slice(at + find.length)
}
