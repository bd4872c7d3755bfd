// A process of the simulation: it may vanish between any two awaits, or stand still and go on later as if nothing had
// been. What it asks of the database travels there and back, and may get lost on either way.

import type { Clock } from '../../platform/clock.ts'
import { Problem } from '../../platform/problem.ts'
import type { WakeBus, WakeTopic } from '../../platform/wake.ts'
import type { Pause } from '../../processing/testing/memory-store.ts'
import type { Faults } from './faults.ts'
import type { History } from './history.ts'
import type { Random } from './random.ts'
import type { SimulatedTime, Timer } from './simulated-time.ts'

export interface ProcessDependencies {
  time: SimulatedTime
  random: Random
  faults: Faults
  history: History
}

/** Where the process was when it vanished; whoever waits for it waits for ever. */
class Cut extends Error {}

const roundTripMsMax = 2

export class SimulatedProcess {
  readonly id: number
  isDead = false
  readonly #deps: ProcessDependencies
  #frozenUntilMs = 0
  /** Of its wall clock and of the one that only grows; neither is the database's. */
  #wallOffsetMs: number
  readonly #monotonicOffsetMs: number
  readonly #listeners = new Map<WakeTopic, Set<() => void>>()
  /** Those that sleep, and hear a signal meanwhile. */
  readonly #asleep = new Set<{ signal: AbortSignal; end: () => void }>()

  readonly #onEnd: () => void

  constructor(id: number, deps: ProcessDependencies, onEnd: () => void) {
    this.id = id
    this.#onEnd = onEnd
    this.#deps = deps
    this.#wallOffsetMs = deps.random.between(-5_000, 5_000)
    this.#monotonicOffsetMs = deps.random.between(0, 1e6)
  }

  get isHealing(): boolean {
    return this.#deps.time.nowMs >= this.#deps.faults.endMs
  }

  crash(): void {
    if (this.isDead) return
    this.end()
    this.#deps.history.note('crash', this.id)
    this.#onEnd()
  }

  /** Nothing of it goes on. Node keeps a signal that is made of others while somebody listens, and with it all of the process. */
  end(): void {
    this.isDead = true
    for (const { signal, end } of this.#asleep) signal.removeEventListener('abort', end)
    this.#asleep.clear()
  }

  freeze(ms: number): void {
    this.#frozenUntilMs = this.#deps.time.nowMs + ms
    this.#deps.history.note('freeze', this.id, Math.round(ms))
  }

  jumpClock(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** As the process would see it: never after its end, and not while it stands still. */
  after(ms: number, run: () => void): Timer {
    const { time } = this.#deps
    const due = (): void => {
      if (this.isDead || timer.cancelled) return
      const frozenMs = this.#frozenUntilMs - time.nowMs
      if (frozenMs > 0) time.after(frozenMs, due)
      else run()
    }
    const timer = time.after(ms, due)
    return timer
  }

  readonly clock: Clock = {
    now: () => new Date(1_750_000_000_000 + this.#deps.time.nowMs + this.#wallOffsetMs),
    monotonicMs: () => this.#deps.time.nowMs + this.#monotonicOffsetMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve()
        const end = (): void => {
          timer.cancelled = true
          if (sleeper !== undefined) this.#asleep.delete(sleeper)
          signal?.removeEventListener('abort', end)
          if (!this.isDead) resolve()
        }
        const sleeper = signal && { signal, end }
        if (sleeper !== undefined) this.#asleep.add(sleeper)
        const timer = this.after(ms, end)
        signal?.addEventListener('abort', end, { once: true })
      }),
  }

  /** Its end of the wake bus; `tell` reaches all processes. */
  wakeBus(tell: (topic: WakeTopic) => void): WakeBus {
    return {
      wake: (topic) => {
        if (!this.isDead) tell(topic)
      },
      listen: (topic, listener) => {
        const set = this.#listeners.get(topic) ?? new Set()
        this.#listeners.set(topic, set.add(listener))
        return () => set.delete(listener)
      },
    }
  }

  hearWake(topic: WakeTopic): void {
    const listeners = this.#listeners.get(topic)
    if (listeners === undefined || listeners.size === 0) return
    if (!this.isHealing && this.#deps.random.chance(this.#deps.faults.wakeLost)) return
    this.after(this.#deps.random.between(0, 1), () => {
      for (const listener of listeners) listener()
    })
  }

  /**
   * Asks the database for something and waits for its answer. `sent` is carried out although the process vanished after
   * it was sent; a transaction is not, because nobody goes on with it.
   */
  call<T>(name: string, run: () => Promise<T>, kind: 'sent' | 'transaction' = 'sent'): Promise<T> {
    const { time, random, faults, history } = this.#deps
    return new Promise<T>((resolve, reject) => {
      if (this.isDead) return
      const heals = this.isHealing
      const isSlow = !heals && random.chance(faults.callSlow)
      const failsBefore = !heals && random.chance(faults.callFailsBefore)
      const failsAfter = !heals && !failsBefore && random.chance(faults.callFailsAfter)
      const travelMs = (): number => (isSlow ? random.between(0, 5_000) : random.next() * (roundTripMsMax / 2))
      const fail = (): void => reject(new Problem('database_unavailable', { detail: 'Planned.' }))
      const answer = (how: string, deliver: () => void): void => {
        const order = ++this.#answersCount
        this.after(travelMs(), () => {
          history.note(`${name} ${how}`, this.id, order)
          deliver()
        })
      }
      const arrive = (): void => {
        if (this.isDead && (kind === 'transaction' || random.chance(0.5))) return
        if (failsBefore) return answer('failed before', fail)
        run().then(
          (value) => answer(failsAfter ? 'failed after' : 'done', failsAfter ? fail : () => resolve(value)),
          (error: unknown) => {
            if (error instanceof Cut) return
            if (!isExpected(error)) history.violate('M1', `${name}: ${String(error)}`)
            answer('refused', () => reject(error))
          },
        )
      }
      // Most requests arrive at once, so to say; a history has fewer events so.
      if (isSlow || random.chance(0.2)) time.after(travelMs(), arrive)
      else arrive()
    })
  }
  #answersCount = 0

  /** Between two statements of a transaction: time, or the end of the process. */
  readonly pause: Pause = () => {
    const { time, random, faults } = this.#deps
    if (this.isDead) throw new Cut('The process vanished.')
    if (this.isHealing || !random.chance(faults.statementSlow)) return undefined
    return new Promise((resolve, reject) => {
      time.after(random.between(0, 20), () => {
        if (this.isDead) reject(new Cut('The process vanished.'))
        else resolve()
      })
    })
  }
}

/** What a process must be able to hear from its database, and what the engine refuses by design. */
/** Names of what is thrown out of a transaction so that it leaves nothing; the classes are those of a mutated copy. */
const undoing = new Set(['RefusedOutcome', 'Superseded'])

function isExpected(error: unknown): boolean {
  if (error instanceof Problem) return error.code !== 'internal'
  if (!(error instanceof Error)) return false
  return ('code' in error && error.code === '40P01') || undoing.has(error.constructor.name)
}
