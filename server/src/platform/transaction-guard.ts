// Two things that neither driver holds a transaction to: that nothing of it runs after its end, when its connection is
// somebody else's and so would be the tenant that the statement sees; and that it is not said to be committed after a
// statement failed whose error was passed over, because the server then rolls back without an error.

import { invariant } from './problem.ts'

export interface TransactionGuard {
  /** Runs a statement of the transaction. Rejects after its end. */
  run<T>(statement: () => Promise<T>): Promise<T>
  /** Throws after its end. */
  requireOpen(): void
  /** Its work is done; what follows ends it. */
  end(): void
  /** Throws the error of the first statement that failed, if one did. */
  requireWhole(): void
}

export function createTransactionGuard(): TransactionGuard {
  let isOpen = true
  let failure: { error: unknown } | undefined
  const requireOpen = (): void => invariant(isOpen, 'no statement of a transaction comes after its end')
  return {
    async run(statement) {
      requireOpen()
      try {
        return await statement()
      } catch (error) {
        failure ??= { error }
        throw error
      }
    },
    requireOpen,
    end: () => void (isOpen = false),
    requireWhole() {
      if (failure !== undefined) throw failure.error
    },
  }
}
