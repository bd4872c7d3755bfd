// Who is next: deficit round robin (Shreedhar and Varghese 1996) over tenants inside each lane, and shares of lanes above
// it. What is charged is expected worker time, not a count, so that a tenant of long videos and one of small tables get
// the same time. It holds no task and asks nobody; the same calls give the same answers.

export interface Contender {
  lane: number
  tenantId: number
  weight: number
  /** How many more of the tenant's tasks may be under way, whatever their lane. */
  free: number
  /** Expected worker time of its next task. */
  costMs: number
}

export interface Pick {
  lane: number
  tenantId: number
}

/** So many tasks, one after the other. */
export interface Turn extends Pick {
  count: number
}

export interface FairShare {
  /** Whose turn it is, turn by turn, for so many tasks in all. What was picked is charged at once. */
  pick(contenders: readonly Contender[], room: number): Turn[]
  /** Corrects a charge by what came of it: the true cost of tasks, or that there was none. */
  correct(pick: Pick, differenceMs: number): void
  /** A tenant without queued tasks keeps no credit; what it owes, it owes. */
  leave(pick: Pick): void
}

/** Of the time, when every lane has work: interactive, normal, bulk. What one does not use goes to the others. */
export const laneShares = [6, 3, 1] as const

interface Entry {
  contender: Contender
  key: string
  /** Time that it may still use, or has used too much. */
  deficitMs: number
}

/** A lane's round: whose turn it is stands at the index. */
interface Ring {
  entries: Entry[]
  at: number
}

const keyOf = ({ lane, tenantId }: Pick): string => `${lane} ${tenantId}`
/** Debts of tenants that have nothing queued are kept for so many; then all are forgiven. */
const deficitsCountMax = 100_000

export function createFairShare(): FairShare {
  const deficits = new Map<string, number>()
  /** Served time of each lane by its share; the lowest is next. */
  const served: number[] = laneShares.map(() => 0)
  /** The tenant with whom each lane's round goes on. */
  const next = new Map<number, number>()

  function toRing(lane: number, contenders: readonly Contender[]): Ring {
    const entries = contenders
      .map((contender): Entry => {
        const key = keyOf(contender)
        return { contender, key, deficitMs: deficits.get(key) ?? 0 }
      })
      .toSorted((a, b) => a.contender.tenantId - b.contender.tenantId)
    const from = next.get(lane) ?? 0
    const at = entries.findIndex(({ contender }) => contender.tenantId >= from)
    return { entries, at: Math.max(0, at) }
  }

  return {
    pick(contenders, room) {
      const rings = new Map(
        [...Map.groupBy(contenders, ({ lane }) => lane)].map(([lane, all]) => [lane, toRing(lane, all)]),
      )
      const free = new Map(contenders.map(({ tenantId, free }) => [tenantId, free]))
      const isFree = ({ contender }: Entry): boolean => (free.get(contender.tenantId) ?? 0) > 0
      const open = new Set(rings.keys())
      wakeLanes(served, [...open])
      const turns: Turn[] = []
      let turn: Turn | undefined
      let left = room
      while (left > 0 && open.size > 0) {
        const lane = leastServed(served, open)
        const ring = rings.get(lane)
        const entry = ring && takeTurn(ring, isFree)
        if (ring === undefined || entry === undefined) {
          open.delete(lane)
          continue
        }
        const { tenantId, costMs } = entry.contender
        entry.deficitMs -= costMs
        // Its turn lasts until its credit is used up.
        if (entry.deficitMs <= 0) ring.at = (ring.at + 1) % ring.entries.length
        free.set(tenantId, (free.get(tenantId) ?? 0) - 1)
        served[lane] = (served[lane] ?? 0) + costMs / (laneShares[lane] ?? 1)
        left--
        if (turn?.lane === lane && turn.tenantId === tenantId) turn.count++
        else turns.push((turn = { lane, tenantId, count: 1 }))
      }
      if (deficits.size > deficitsCountMax) deficits.clear()
      for (const [lane, { entries, at }] of rings) {
        for (const { key, deficitMs } of entries) deficits.set(key, deficitMs)
        next.set(lane, entries[at]?.contender.tenantId ?? 0)
      }
      return turns
    },
    correct(pick, differenceMs) {
      const key = keyOf(pick)
      deficits.set(key, (deficits.get(key) ?? 0) - differenceMs)
      served[pick.lane] = (served[pick.lane] ?? 0) + differenceMs / (laneShares[pick.lane] ?? 1)
    },
    leave(pick) {
      const key = keyOf(pick)
      if ((deficits.get(key) ?? 0) >= 0) deficits.delete(key)
    },
  }
}

/** Of several that have been served as much, the first. */
function leastServed(served: readonly number[], lanes: Iterable<number>): number {
  let [least = 0] = lanes
  for (const lane of lanes) if ((served[lane] ?? 0) < (served[least] ?? 0)) least = lane
  return least
}

/** The next in the round that has credit; when nobody has, all get as many rounds' worth as it takes. */
function takeTurn(ring: Ring, isFree: (entry: Entry) => boolean): Entry | undefined {
  const { entries } = ring
  for (;;) {
    let quantumMs = Infinity
    for (let step = 0; step < entries.length; step++) {
      const at = (ring.at + step) % entries.length
      const entry = entries[at]
      if (entry === undefined || !isFree(entry)) continue
      if (entry.deficitMs > 0) {
        ring.at = at
        return entry
      }
      quantumMs = Math.min(quantumMs, (Math.max(1, entry.contender.costMs) - entry.deficitMs) / entry.contender.weight)
    }
    if (quantumMs === Infinity) return undefined
    for (const entry of entries) if (isFree(entry)) entry.deficitMs += quantumMs * entry.contender.weight
  }
}

/** A lane that had nothing to do does not come back with all the time it has missed. */
function wakeLanes(served: number[], lanes: readonly number[]): void {
  const [first] = lanes
  if (first === undefined) return
  const busiest = Math.max(...lanes.map((lane) => served[lane] ?? 0))
  for (const lane of lanes) served[lane] = Math.max(served[lane] ?? 0, busiest - laneCreditMsMax)
}

/** What a lane may be behind and still make good. */
const laneCreditMsMax = 1_000
