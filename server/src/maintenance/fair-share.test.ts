import { describe, expect, it } from 'vitest'
import { createFairShare, type Contender, type FairShare, type Turn } from './fair-share.ts'

const contender = (tenantId: number, more: Partial<Contender> = {}): Contender => ({
  lane: 1,
  tenantId,
  weight: 1,
  free: 1_000,
  costMs: 100,
  ...more,
})

/** Worker time that each got, by key, over many looks of little room. */
function serve(share: FairShare, contenders: Contender[], looks = 400, key = (turn: Turn) => turn.tenantId) {
  const costs = new Map(contenders.map((each) => [`${each.lane} ${each.tenantId}`, each.costMs]))
  const got = new Map<number, number>()
  for (let look = 0; look < looks; look++) {
    for (const turn of share.pick(contenders, 7)) {
      const costMs = costs.get(`${turn.lane} ${turn.tenantId}`) ?? 0
      got.set(key(turn), (got.get(key(turn)) ?? 0) + turn.count * costMs)
    }
  }
  return got
}

const countOf = (turns: readonly Turn[]): number => turns.reduce((sum, { count }) => sum + count, 0)

const jain = (values: number[]): number =>
  values.reduce((sum, value) => sum + value, 0) ** 2 /
  (values.length * values.reduce((sum, value) => sum + value ** 2, 0))

describe('fair shares', () => {
  it('give 100 tenants the same time', () => {
    const got = serve(
      createFairShare(),
      Array.from({ length: 100 }, (_, index) => contender(index + 1)),
      500,
    )
    expect(got.size).toBe(100)
    expect(jain([...got.values()])).toBeGreaterThan(0.999)
  })

  it('give time, not counts: long tasks are fewer', () => {
    const got = serve(createFairShare(), [contender(1, { costMs: 60_000 }), contender(2, { costMs: 10 })], 60_000)
    expect(got.get(1)! / got.get(2)!).toBeCloseTo(1, 0)
  })

  it('go by weight', () => {
    const got = serve(
      createFairShare(),
      [1, 2, 4].map((weight) => contender(weight, { weight })),
    )
    expect(got.get(2)! / got.get(1)!).toBeCloseTo(2, 1)
    expect(got.get(4)! / got.get(1)!).toBeCloseTo(4, 1)
  })

  it('serve a newcomer at once, however long others have waited', () => {
    const share = createFairShare()
    serve(share, [contender(1), contender(2)])
    const turns = share.pick([contender(1), contender(2), contender(3)], 3)
    expect(turns.map(({ tenantId }) => tenantId)).toContain(3)
  })

  it('never go beyond what a tenant may have under way, in all lanes together', () => {
    const turns = createFairShare().pick(
      [contender(1, { free: 3 }), contender(1, { lane: 2, free: 3 }), contender(2)],
      50,
    )
    expect(countOf(turns.filter(({ tenantId }) => tenantId === 1))).toBe(3)
    expect(countOf(turns)).toBe(50)
  })

  it('end when nobody may have more', () => {
    expect(countOf(createFairShare().pick([contender(1, { free: 0 }), contender(2, { free: 2 })], 50))).toBe(2)
  })

  it('tell what one tenant gets in a row as one turn', () => {
    const share = createFairShare()
    expect(share.pick([contender(1)], 50)).toEqual([{ lane: 1, tenantId: 1, count: 50 }])
    const both = share.pick([contender(1, { costMs: 10 }), contender(2, { costMs: 30 })], 8)
    expect(countOf(both)).toBe(8)
    expect(both.every(({ tenantId }, index) => tenantId !== both[index + 1]?.tenantId)).toBe(true)
  })

  it('reserve a share of the time for each lane', () => {
    const contenders = [contender(1, { lane: 0 }), contender(2), contender(3, { lane: 2 })]
    const got = serve(createFairShare(), contenders)
    const all = [...got.values()].reduce((sum, value) => sum + value, 0)
    expect([1, 2, 3].map((tenant) => Math.round((got.get(tenant)! / all) * 10))).toEqual([6, 3, 1])
  })

  it('do not let a lane that was idle take back all it missed', () => {
    const share = createFairShare()
    serve(share, [contender(1, { lane: 0 })], 1_000)
    const got = serve(share, [contender(1, { lane: 0 }), contender(2, { lane: 2 })], 100)
    expect(got.get(1)!).toBeGreaterThan(got.get(2)!)
  })

  it('correct a guess by what tasks really cost', () => {
    const share = createFairShare()
    const contenders = [contender(1), contender(2)]
    let first = 0
    let second = 0
    for (let look = 0; look < 500; look++) {
      for (const turn of share.pick(contenders, 4)) {
        if (turn.tenantId === 1) {
          first += turn.count
          share.correct(turn, turn.count * 300) // Each cost 400 instead of 100.
        } else second += turn.count
      }
    }
    expect(second / first).toBeCloseTo(4, 0)
  })
})
