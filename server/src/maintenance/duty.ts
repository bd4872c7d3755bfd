// A duty: something that is looked after again and again, sooner when woken, for as long as this process leads.

import { endWait, type Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { Service } from '../platform/service.ts'
import type { WakeBus, WakeTopic } from '../platform/wake.ts'

export interface DutyOptions {
  name: string
  /** One look; answers after how many milliseconds the next is due. */
  look: (signal: AbortSignal) => Promise<number>
  /** Looks at once when one of these wakes. */
  topics?: readonly WakeTopic[]
  clock: Clock
  wake: WakeBus
  log: Log
}

/** After a failure, so that a database that is down is not knocked at without end. */
const failureWaitMs = 1_000

export function createDuty(options: DutyOptions): Service {
  const { name, look, topics = [], clock, wake, log } = options
  const stopping = new AbortController()
  let woken = new AbortController()
  let done: Promise<void> | undefined
  const unlisten: (() => void)[] = []

  async function run(signal: AbortSignal): Promise<void> {
    let failing = false
    while (!signal.aborted) {
      // A wake during the look ends the wait after it: what came meanwhile may not have been seen.
      woken = new AbortController()
      const wakened = woken
      const waitMs = await look(signal).then(
        (ms) => {
          failing = false
          return ms
        },
        (error: unknown) => {
          if (!failing && !signal.aborted) log.warn('duty.failed', { duty: name, error })
          failing = true
          return failureWaitMs
        },
      )
      if (signal.aborted) return
      await clock.sleep(waitMs, failing ? signal : AbortSignal.any([signal, wakened.signal]))
    }
  }

  return {
    name,
    async start(signal) {
      for (const topic of topics) unlisten.push(wake.listen(topic, () => endWait(woken)))
      done = run(AbortSignal.any([signal, stopping.signal]))
    },
    async stop(deadlineMs) {
      for (const end of unlisten) end()
      stopping.abort()
      if (done) await Promise.race([done, clock.sleep(deadlineMs)])
    },
  }
}
