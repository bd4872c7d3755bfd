import { describe, expect, it } from 'vitest'
import { systemClock } from './clock.ts'
import { startServices } from './lifecycle.ts'
import { silentLog } from './log.ts'
import type { Service } from './service.ts'

const deps = { clock: systemClock, log: silentLog }
const recorded = (name: string, calls: string[], overrides: Partial<Service> = {}): Service => ({
  name,
  start: async () => void calls.push(`start ${name}`),
  stop: async () => void calls.push(`stop ${name}`),
  ...overrides,
})

describe('startServices', () => {
  it('starts in order and stops in reverse, once', async () => {
    const calls: string[] = []
    const running = await startServices([recorded('a', calls), recorded('b', calls)], deps)
    await Promise.all([running.stop(100), running.stop(100)])
    expect(calls).toEqual(['start a', 'start b', 'stop b', 'stop a'])
  })

  it('stops what had started, and the one that failed, when a start fails', async () => {
    const calls: string[] = []
    const failing = recorded('b', calls, { start: () => Promise.reject(new Error('no port')) })
    await expect(startServices([recorded('a', calls), failing, recorded('c', calls)], deps)).rejects.toThrow('no port')
    expect(calls).toEqual(['start a', 'stop b', 'stop a'])
  })

  it('goes on with the next service when one fails to stop or hangs past the deadline', async () => {
    const calls: string[] = []
    const hanging = recorded('b', calls, { stop: () => new Promise<void>(() => {}) })
    const broken = recorded('c', calls, { stop: () => Promise.reject(new Error('broken')) })
    const running = await startServices([recorded('a', calls), hanging, broken], deps)
    await running.stop(10)
    expect(calls).toEqual(['start a', 'start b', 'start c', 'stop a'])
  })
})
