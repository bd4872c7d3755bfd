// What every wake bus promises. A test hands in one bus, or two that reach each other.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WakeBus, WakeTopic } from './wake.ts'

export interface WakeBusUnderTest {
  /** The same bus twice for one that stays within a process. */
  buses: readonly [WakeBus, WakeBus]
  close(): Promise<void>
}

export function describeWakeBus(name: string, open: () => Promise<WakeBusUnderTest>): void {
  describe(name, () => {
    let under: WakeBusUnderTest
    beforeEach(async () => {
      under = await open()
    })
    afterEach(() => under.close())

    const listen = (bus: WakeBus, topic: WakeTopic) => {
      const heard = { count: 0 }
      return { heard, leave: bus.listen(topic, () => void (heard.count += 1)) }
    }

    it('wakes every listener of the topic, in both processes, and no other', async () => {
      const [here, there] = under.buses
      const [first, second, foreign, other] = [
        listen(here, 'ready'),
        listen(here, 'ready'),
        listen(there, 'ready'),
        listen(here, 'outbox'),
      ].map(({ heard }) => heard)
      here.wake('ready')
      await expect.poll(() => [first?.count, second?.count, foreign?.count]).toEqual([1, 1, 1])
      expect(other?.count).toBe(0)
    })

    it('calls a listener later, never from within the wake', () => {
      const { heard } = listen(under.buses[0], 'backlog')
      under.buses[0].wake('backlog')
      expect(heard.count).toBe(0)
    })

    it('makes one call of many wakes in quick succession, and another of one that comes later', async () => {
      const [here, there] = under.buses
      const { heard } = listen(there, 'cancel')
      for (let times = 0; times < 1_000; times += 1) here.wake('cancel')
      await expect.poll(() => heard.count).toBeGreaterThan(0)
      expect(heard.count).toBeLessThan(10)
      const before = heard.count
      here.wake('cancel')
      await expect.poll(() => heard.count).toBeGreaterThan(before)
    })

    it('leaves a listener alone that has left', async () => {
      const [here, there] = under.buses
      const gone = listen(there, 'ready')
      const stays = listen(there, 'ready')
      gone.leave()
      gone.leave()
      here.wake('ready')
      await expect.poll(() => stays.heard.count).toBe(1)
      expect(gone.heard.count).toBe(0)
    })
  })
}
