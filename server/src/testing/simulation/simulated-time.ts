// Time that passes from event to event: nothing happens in between, and what an event sets off has come to rest before the
// next. Events of the same moment happen in the order in which they were asked for.

export interface Timer {
  cancelled: boolean
}

interface Event extends Timer {
  atMs: number
  order: number
  run: () => void
}

export class SimulatedTime {
  nowMs = 0
  eventsCount = 0
  readonly #heap: Event[] = []
  #order = 0

  after(ms: number, run: () => void): Timer {
    const event = { atMs: this.nowMs + Math.max(0, ms), order: this.#order++, run, cancelled: false }
    this.#push(event)
    return event
  }

  /** The next event; false when there is none. Whoever calls it lets everything come to rest before the next call. */
  step(): boolean {
    for (let event = this.#pop(); event !== undefined; event = this.#pop()) {
      if (event.cancelled) continue
      this.nowMs = event.atMs
      this.eventsCount += 1
      event.run()
      return true
    }
    return false
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      // Both indexes are within the heap.
      if (!isBefore(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  #pop(): Event | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      // Both indexes are within the heap.
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

const isBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
