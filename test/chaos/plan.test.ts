import { describe, expect, test } from 'vitest'
import { faults } from './faults.ts'
import { planNamed, planPairs, planSingles } from './plan.ts'

const namesOf = (plan: readonly { faults: readonly { name: string }[] }[]): string[] =>
  plan.map((experiment) => experiment.faults.map(({ name }) => name).join('+'))

describe('the catalogue', () => {
  test('has each fault once, under a name that can be typed', () => {
    const names = faults.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(name).toMatch(/^[a-z][a-z0-9-]+$/)
  })

  test('hurts every process and every server', () => {
    expect(new Set(faults.map(({ hurts }) => hurts))).toEqual(
      new Set(['api', 'upload', 'workers', 'leader', 'postgres', 'redis', 'store']),
    )
    expect(planSingles().length).toBeGreaterThanOrEqual(60)
  })
})

describe('pairs', () => {
  test('are the same for the same seed, and others for another', () => {
    const pairs = namesOf(planPairs(60, 7))
    expect(pairs).toHaveLength(60)
    expect(namesOf(planPairs(60, 7))).toEqual(pairs)
    expect(namesOf(planPairs(60, 8))).not.toEqual(pairs)
  })

  test('hurt two different things, and none is drawn twice', () => {
    const pairs = planPairs(200, 3)
    expect(new Set(namesOf(pairs).map((name) => name.split('+').toSorted().join())).size).toBe(200)
    for (const { faults: both } of pairs) expect(new Set(both.map(({ hurts }) => hurts)).size).toBe(2)
  })
})

test('faults are chosen by name, alone or together', () => {
  expect(planNamed('kill-api+pg-frozen')?.faults.map(({ name }) => name)).toEqual(['kill-api', 'pg-frozen'])
  expect(planNamed('kill-api+nothing')).toBeUndefined()
})
