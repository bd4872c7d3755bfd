// A transaction in as few trips to the server as its statements allow: what opens it goes with its first statement, what
// nobody waits for with the next one, all in one write. The server answers in order, and runs nothing of a transaction
// after its first failure, the commit neither (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING).

import { nextTick } from 'node:process'
import type { Client, Connection, PoolClient } from 'pg'
import type { QueryResult, Tx } from './database.ts'
import { createTransactionGuard } from './transaction-guard.ts'

export interface PostgresTransaction<T> {
  /** Statements that begin the transaction and set what holds in it. */
  opening: string
  work: (tx: Tx) => Promise<T>
  /** Whether all of its statements are asked for at once, and whatever they answer is committed. */
  alone: boolean
  run: <Row extends object>(text: string, values?: readonly unknown[]) => Promise<QueryResult<Row>>
}

/** A client of a pool is a whole one, whatever the type of the pool says. */
export const connectionOf = (client: PoolClient): Connection => (client as PoolClient & Client).connection

/** Throws the error of the first statement that failed, or what work threw; it is rolled back then. */
export async function transactionOn<T>(
  client: PoolClient,
  { opening, work, alone, run }: PostgresTransaction<T>,
): Promise<T> {
  const { stream } = connectionOf(client)
  const guard = createTransactionGuard()
  const unsent: { text: string; values: readonly unknown[] }[] = []
  const failures: unknown[] = []
  const sent: Promise<unknown>[] = []

  const keep = (answer: Promise<unknown>): void => {
    sent.push(answer.catch((error: unknown) => failures.push(error)))
  }
  /** All that is asked for in one turn of the event loop leaves in one write. */
  let gathering = false
  const write = <Row extends object>(text: string, values?: readonly unknown[]): Promise<QueryResult<Row>> => {
    if (!gathering) {
      gathering = true
      stream.cork()
      nextTick(() => {
        gathering = false
        stream.uncork()
      })
    }
    for (const each of unsent.splice(0)) keep(run(each.text, each.values))
    return run(text, values)
  }
  const tx: Tx = {
    kind: 'transaction',
    query: (text, values) => guard.run(() => write(text, values)),
    send(text, values) {
      guard.requireOpen()
      unsent.push({ text, values })
    },
  }

  try {
    keep(write(opening))
    const working = work(tx)
    if (alone) keep(write('commit'))
    const value = await working
    guard.end()
    if (!alone) await write('commit')
    await Promise.all(sent)
    if (failures.length > 0) throw failures[0]
    guard.requireWhole()
    return value
  } catch (error) {
    guard.end()
    unsent.length = 0
    await write('rollback').catch(() => {}) // The connection may be gone; the first error is the one that counts.
    await Promise.all(sent)
    throw failures.length > 0 ? failures[0] : error
  }
}
