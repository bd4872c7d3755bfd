// A tap on the shoulder between parts and processes: "there is something new". A wake may be lost, doubled or late;
// whoever waits for one also looks for himself at intervals, so that nothing depends on its arrival.

export const wakeTopics = ['backlog', 'ready', 'outbox', 'cancel', 'batch'] as const
export type WakeTopic = (typeof wakeTopics)[number]

export interface WakeBus {
  /** Never waits and never throws. */
  wake(topic: WakeTopic): void
  /** Calls the listener soon after each wake, at most once for several in quick succession; returns the way out. */
  listen(topic: WakeTopic, listener: () => void): () => void
}

/** Wakes within this process only. */
export function createLocalWakeBus(): WakeBus {
  const listeners = new Map<WakeTopic, Set<() => void>>()
  const pending = new Set<WakeTopic>()
  return {
    wake(topic) {
      if (pending.has(topic)) return
      pending.add(topic)
      setImmediate(() => {
        pending.delete(topic)
        for (const listener of listeners.get(topic) ?? []) listener()
      })
    },
    listen(topic, listener) {
      const set = listeners.get(topic) ?? new Set()
      listeners.set(topic, set.add(listener))
      return () => set.delete(listener)
    },
  }
}
