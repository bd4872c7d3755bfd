import { describe, expect, it } from 'vitest'
import { graverRefusal, verdictOf } from './verdict.ts'

const problem = (code: 'file_infected' | 'file_unreadable' | 'time_limit_exceeded') => ({ code, detail: '' })
const refusal = graverRefusal(undefined, problem('file_unreadable'))
const passed = { refusal: undefined, isValidated: true, hasChecks: true }

describe('the verdict over a file', () => {
  it('is the gravest of what its checks say, in whatever order they end', () => {
    const infected = graverRefusal(refusal, problem('file_infected'))
    expect(infected.state).toBe('infected')
    expect(graverRefusal(infected, problem('file_unreadable'))).toBe(infected)
    expect(
      graverRefusal(graverRefusal(undefined, problem('time_limit_exceeded')), problem('file_unreadable')).state,
    ).toBe('rejected')
  })

  it('clears what its checks have passed, and without checks only what nobody has refused', () => {
    expect(verdictOf(passed, { state: 'quarantined' })).toEqual({ state: 'available', problem: null })
    expect(verdictOf(passed, { state: 'infected' })).toEqual({ state: 'available', problem: null })
    expect(verdictOf({ ...passed, hasChecks: false }, { state: 'quarantined' })?.state).toBe('available')
    expect(verdictOf({ ...passed, hasChecks: false }, { state: 'infected' })).toBeUndefined()
    expect(verdictOf({ ...passed, isValidated: false }, { state: 'quarantined' })).toBeUndefined()
  })

  it('does not make a grave refusal a lighter one', () => {
    expect(verdictOf({ ...passed, refusal }, { state: 'infected' })).toBeUndefined()
    expect(verdictOf({ ...passed, refusal }, { state: 'available' })).toBe(refusal)
  })
})
