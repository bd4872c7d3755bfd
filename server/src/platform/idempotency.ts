// Idempotency-Key: a creating request that is sent again, because its answer was lost, is answered as it was the first
// time and does nothing twice. A key belongs to its tenant and to one request: the same key with another request is
// refused, and while the first is being answered the second is told to wait.
//
//   (absent) ──begin──▶ in flight ──finish──▶ answered ──a day──▶ (absent)
//                          ├──release: the request failed──▶ (absent)
//                          └──its process died, lifetime over──▶ taken over by the next one who asks
//
// Who finishes inside the transaction of what was created (an upload does) has exactly one effect, whatever dies when.
// wrap finishes after the handler: a process that dies in the instant between lets a repeated request act again.

import { createHash } from 'node:crypto'
import type { OperationId } from '@millrace/contract'
import type { Database, Tx } from './database.ts'
import { answerKeys, claimKey, deleteOldKeys, findKey, releaseKey, renewKey } from './idempotency.sql.ts'
import type { Ids } from './ids.ts'
import { Problem } from './problem.ts'
import type { Handler, RequestContext } from './routes.ts'

/** A request in flight that holds its key. */
export interface IdempotencyClaim {
  readonly tenantId: number
  readonly key: string
  readonly claim: string
}

export type IdempotencyStart =
  | { readonly kind: 'claimed'; readonly claim: IdempotencyClaim }
  /** It was answered before: compare the hash, then give the same answer. */
  | { readonly kind: 'answered'; readonly requestHash: string; readonly response: unknown }

export interface IdempotentAnswer {
  requestHash: string
  response: unknown
}

/** Encrypts an answer for its tenant. */
export interface AnswerSealing {
  seal(tenantId: number, answer: unknown): Promise<unknown>
  open(tenantId: number, sealed: unknown): Promise<unknown>
}

const inClear: AnswerSealing = { seal: async (_, answer) => answer, open: async (_, kept) => kept }

export interface Idempotency {
  /**
   * Takes the key for this request. requestHash is left out while the body has still to be read. Throws
   * Problem('idempotency_in_flight'), and idempotency_key_reused when the hash shows another request.
   */
  begin(request: { tenantId: number; key: string; requestHash?: string }): Promise<IdempotencyStart>
  /** Extends the claim of a request that takes long. */
  renew(claim: IdempotencyClaim): Promise<void>
  /** Keeps the answer; stands or falls with the transaction. Throws Problem('idempotency_in_flight') when the claim is lost. */
  finish(tx: Tx, claim: IdempotencyClaim, answer: IdempotentAnswer): Promise<void>
  /** The same for requests that are answered together; throws when one of the claims is lost. */
  finishAll(tx: Tx, answers: readonly (IdempotentAnswer & { claim: IdempotencyClaim })[]): Promise<void>
  /** Lets go of the key after a failure, so that the request may be sent again. */
  release(claim: IdempotencyClaim): Promise<void>
  /**
   * A handler of a JSON operation that honours Idempotency-Key; only answers of success are kept. Those that tell a secret
   * are kept sealed.
   */
  wrap<Op extends OperationId>(operationId: Op, handler: Handler<Op>, sealing?: AnswerSealing): Handler<Op>
  /** Forgets what is older than a day; a duty of maintenance. Answers how many there were. */
  sweep(): Promise<number>
}

/** Long enough for any retry of a client that was cut off, over a weekend's half. */
export const idempotencyKeptMs = 24 * 60 * 60_000
/** How long a dead process keeps others from its key: no longer than a client will wait. The living renew. */
export const claimLifetimeMs = 30_000
const keyLengthMax = 255
const sweepCountMax = 5_000

/** The key of a request, or undefined where none was sent. Throws Problem('invalid_request') for one that cannot be a key. */
export function idempotencyKeyOf({ headers }: Pick<RequestContext, 'headers'>): string | undefined {
  const value = headers['idempotency-key']
  if (value === undefined) return undefined
  if (typeof value === 'string' && value.length <= keyLengthMax && /^[\x21-\x7e]+$/.test(value)) return value
  throw new Problem('invalid_request', {
    detail: `Idempotency-Key must be 1 to ${keyLengthMax} visible ASCII characters.`,
  })
}

/** The same for equal requests, whatever the order of the keys of their bodies. */
export const hashRequest = (parts: unknown): string =>
  createHash('sha256').update(JSON.stringify(parts, sortedKeys)).digest('hex')

const sortedKeys = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value

export function createIdempotency({ database, ids }: { database: Database; ids: Ids }): Idempotency {
  async function begin(request: { tenantId: number; key: string; requestHash?: string }): Promise<IdempotencyStart> {
    const { tenantId, key, requestHash = '' } = request
    const claim = { tenantId, key, claim: ids.randomHex(16) }
    const row = await database.withTenant(tenantId, async (tx) => {
      const wanted = { ...claim, requestHash, lifetimeMs: claimLifetimeMs, keptMs: idempotencyKeptMs }
      return (await claimKey(tx, wanted)) ? 'claimed' : findKey(tx, tenantId, key)
    })
    if (row === 'claimed') return { kind: 'claimed', claim }
    // It was released between the two statements; whoever asks again gets it.
    if (row === undefined) throw inFlight()
    const bothKnown = row.request_hash !== '' && requestHash !== ''
    if (bothKnown && row.request_hash !== requestHash) throw new Problem('idempotency_key_reused')
    if (row.in_flight) throw inFlight()
    return { kind: 'answered', requestHash: row.request_hash, response: row.response }
  }

  const finishAll: Idempotency['finishAll'] = async (tx, answers) => {
    if (answers.length === 0) return
    const held = answers.map(({ claim, ...answer }) => ({ ...claim, ...answer }))
    if (!(await answerKeys(tx, held))) throw inFlight()
  }

  const finish: Idempotency['finish'] = (tx, claim, answer) => finishAll(tx, [{ claim, ...answer }])

  const release: Idempotency['release'] = (claim) => database.withTenant(claim.tenantId, (tx) => releaseKey(tx, claim))

  return {
    begin,
    finish,
    finishAll,
    release,
    async renew(claim) {
      await database.withTenant(claim.tenantId, (tx) => renewKey(tx, { ...claim, lifetimeMs: claimLifetimeMs }))
    },
    wrap:
      (operationId, handler, sealing = inClear) =>
      async (input, context) => {
        const key = idempotencyKeyOf(context)
        if (key === undefined) return handler(input, context)
        const { tenantId } = context.principal
        const requestHash = hashRequest([operationId, input.params, input.query, input.body])
        const start = await begin({ tenantId, key, requestHash })
        // What was kept is what this handler answered to this request.
        if (start.kind === 'answered')
          return (await sealing.open(tenantId, start.response)) as Awaited<ReturnType<typeof handler>>
        try {
          const answer = await handler(input, context)
          const response = await sealing.seal(tenantId, answer)
          await database.withTenant(tenantId, (tx) => finish(tx, start.claim, { requestHash, response }))
          return answer
        } catch (error) {
          await release(start.claim).catch((cause: unknown) =>
            context.log.warn('idempotency.release_failed', { error: String(cause) }),
          )
          throw error
        }
      },
    async sweep() {
      let sweptCount = 0
      for (;;) {
        const count = await database.asSystem((tx) =>
          deleteOldKeys(tx, { keptMs: idempotencyKeptMs, limit: sweepCountMax }),
        )
        sweptCount += count
        if (count < sweepCountMax) return sweptCount
      }
    },
  }
}

const inFlight = (): Problem => new Problem('idempotency_in_flight', { retryAfterSeconds: 1 })
