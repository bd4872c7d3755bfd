// Steps as a graph: an edge leads from a step to each that it needs. Names that are no steps are passed over.

export type Needs = ReadonlyMap<string, readonly string[]>

/** One cycle of each knot, in the order of passage and closed: a, b, a. */
export function findCycles(needs: Needs): string[][] {
  const state = new Map<string, 'open' | 'done'>()
  const cycles: string[][] = []
  // Deep enough for the longest chain of steps that a pipeline may have.
  const visit = (name: string, trail: readonly string[]): void => {
    if (!needs.has(name) || state.get(name) === 'done') return
    if (state.get(name) === 'open') {
      cycles.push([name, ...trail.slice(trail.lastIndexOf(name) + 1).toReversed(), name])
      return
    }
    state.set(name, 'open')
    for (const need of needs.get(name) ?? []) visit(need, [...trail, name])
    state.set(name, 'done')
  }
  for (const name of needs.keys()) visit(name, [])
  return cycles
}

/** All steps that have certainly ended before a step begins. */
export function ancestorsOf(name: string, needs: Needs): Set<string> {
  const found = new Set<string>()
  const waiting = [...(needs.get(name) ?? [])]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (found.has(next) || !needs.has(next)) continue
    found.add(next)
    waiting.push(...(needs.get(next) ?? []))
  }
  return found
}

/** Steps that no other one needs. */
export function leavesOf(needs: Needs): string[] {
  const needed = new Set([...needs.values()].flat())
  return [...needs.keys()].filter((name) => !needed.has(name))
}
