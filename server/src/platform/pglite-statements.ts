// Prepared statements of the embedded database. Its own query() parses and plans a statement each time and crosses into
// WebAssembly six times for it; here a statement is prepared once and crosses once, which is most of what a small
// statement costs. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY

import { parse, protocol, type messages, type PGlite, type Results } from '@electric-sql/pglite'

export interface PreparedStatements {
  /** One at a time: inside the caller's transaction, or with the session to itself. */
  run<Row>(text: string, values: readonly unknown[], scope: 'transaction' | 'alone'): Promise<Results<Row>>
  /** Forgets all, as after a change of the schema. */
  forget(): Promise<void>
}

interface Statement {
  name: string
  parameterOids: number[]
}

/** Statements are written in code and few; this only bounds what is put together from parts. */
const statementsCountMax = 1_000

const { serialize } = protocol

export function createPreparedStatements(db: PGlite): PreparedStatements {
  const statements = new Map<string, Statement>()
  let namesCount = 0

  // The driver's own locks, which its interface for the protocol leaves to the caller.
  // oxlint-disable no-underscore-dangle
  const betweenTransactions = <T>(work: () => Promise<T>): Promise<T> => db._runExclusiveTransaction(work)
  const betweenStatements = <T>(work: () => Promise<T>): Promise<T> => db._runExclusiveQuery(work)
  // oxlint-enable no-underscore-dangle

  const exchange = async (parts: readonly Uint8Array[], syncToFs: boolean): Promise<messages.BackendMessage[]> => {
    const { messages, data } = await db.execProtocol(Buffer.concat(parts), { syncToFs })
    restoreMarks(messages, Buffer.from(data.buffer, data.byteOffset, data.byteLength))
    return messages
  }

  async function prepare(text: string): Promise<Statement> {
    const known = statements.get(text)
    if (known) return known
    if (statements.size >= statementsCountMax) await forgetAll()
    const name = `s${++namesCount}`
    const answer = await exchange(
      [serialize.parse({ name, text }), serialize.describe({ type: 'S', name }), serialize.sync()],
      false,
    )
    const statement = { name, parameterOids: parse.parseDescribeStatementResults(answer) }
    statements.set(text, statement)
    return statement
  }

  async function forgetAll(): Promise<void> {
    statements.clear()
    await exchange([serialize.query('deallocate all')], false)
  }

  const toText = (value: unknown, oid: number | undefined): string | null => {
    if (value === null || value === undefined) return null
    const toDatabase = oid === undefined ? undefined : db.serializers[oid]
    if (toDatabase) return toDatabase(value)
    return typeof value === 'string' ? value : JSON.stringify(value)
  }

  const run = <Row>(text: string, values: readonly unknown[], syncToFs: boolean): Promise<Results<Row>> =>
    betweenStatements(async () => {
      const { name, parameterOids } = await prepare(text)
      const bound = values.map((value, index) => toText(value, parameterOids[index]))
      const answer = await exchange(
        [
          serialize.bind({ statement: name, values: bound }),
          serialize.describe({ type: 'P' }),
          serialize.execute({}),
          serialize.sync(),
        ],
        syncToFs,
      )
      // One statement has one result.
      return parse.parseResults(answer, db.parsers)[0] as Results<Row>
    })

  return {
    run: (text, values, scope) =>
      scope === 'transaction' ? run(text, values, false) : betweenTransactions(() => run(text, values, true)),
    forget: () => betweenTransactions(() => betweenStatements(forgetAll)),
  }
}

const byteOrderMark = Buffer.from('\ufeff')
const dataRowCode = 'D'.charCodeAt(0)

/**
 * The driver takes U+FEFF at the head of a value for a byte order mark and drops it; a file's name may begin with one.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-DATAROW
 */
function restoreMarks(answer: readonly messages.BackendMessage[], bytes: Buffer): void {
  if (!bytes.includes(byteOrderMark)) return
  const rows = answer.filter((message) => message.name === 'dataRow').values()
  for (let at = 0; at < bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) {
    if (bytes[at] !== dataRowCode) continue
    const { fields } = rows.next().value as messages.DataRowMessage // One for each row of the bytes.
    let offset = at + 7
    for (const [index, field] of fields.entries()) {
      const length = bytes.readInt32BE(offset) // -1: null.
      offset += 4
      if (bytes.subarray(offset, offset + Math.min(3, length)).equals(byteOrderMark)) fields[index] = `\ufeff${field}`
      offset += Math.max(0, length)
    }
  }
}
