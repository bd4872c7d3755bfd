// Password hashing: argon2id with OWASP's parameters. One hash costs 10 ms and 19 MiB, which makes signing in a cheap
// way to overload a server; so only a few run at once, few wait, and the rest are told to come back.

import { hash, verify } from '@node-rs/argon2'
import { Problem } from '../platform/problem.ts'

export interface Passwords {
  /** Throws Problem('overloaded') when too many are waiting; so does matches. */
  hash(password: string): Promise<string>
  /** Takes as long for an account that does not exist (undefined) as for one that does, and answers false. */
  matches(stored: string | undefined, password: string): Promise<boolean>
}

/** OWASP's first choice; the library's default algorithm is argon2id. */
const parameters = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const runningMax = 2
const waitingMax = 32
const retryAfterSeconds = 2

export async function createPasswords(): Promise<Passwords> {
  const inTurn = createTurns()
  /** Of a password that nobody has: it is compared where there is no account, so that both ways take as long. */
  const nobodysHash = await hash('no account has this password', parameters)
  return {
    hash: (password) => inTurn(() => hash(password, parameters)),
    matches: (stored, password) =>
      inTurn(async () => {
        const same = await verify(stored ?? nobodysHash, password)
        return stored !== undefined && same
      }),
  }
}

function createTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running >= runningMax) {
      if (waiting.length >= waitingMax) throw new Problem('overloaded', { retryAfterSeconds })
      await new Promise<void>((resolve) => waiting.push(resolve)) // Whoever leaves hands its turn over.
    } else running++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
