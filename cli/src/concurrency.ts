/** Lets so many pieces of work run at a time; the others wait their turn, in the order in which they came. */
export function createGate(limitCount: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let runningCount = 0
  return async (work) => {
    if (runningCount >= limitCount) await new Promise<void>((resolve) => void waiting.push(resolve))
    else runningCount++
    try {
      return await work()
    } finally {
      // The place goes on to who waits, so that nobody takes it in between.
      const next = waiting.shift()
      if (next) next()
      else runningCount--
    }
  }
}
