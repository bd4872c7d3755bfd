// The server as the commands see it: the contract's typed client, patient where repeating is safe, and with failures
// of the network told as what they are.

import {
  ApiProblem,
  createClient,
  operations,
  type CallInput,
  type Client,
  type OperationId,
  type ResponseOf,
} from '@millrace/contract'
import { Unreachable } from './failure.ts'
import { withRetries, type Patience } from './retry.ts'

export interface Api extends Client {
  readonly url: string
  /** For requests that the caller repeats himself, because their body can be read only once. */
  readonly once: Client
}

export interface ApiDependencies extends Patience {
  fetch: typeof globalThis.fetch
  signal: AbortSignal
}

/** An answer that has not begun by then is not coming. */
const answerTimeoutMs = 60_000

type Page<Op extends OperationId> = ResponseOf<Op> extends { items: (infer Item)[] } ? Item : never

export function createApi(options: { url: string; key: string }, deps: ApiDependencies): Api {
  const { url } = options
  let reached = false

  async function fetchTold(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    try {
      const response = await deps.fetch(input, { ...init, signal: init.signal ?? deps.signal })
      reached = true
      return response
    } catch (error) {
      if (deps.signal.aborted) throw deps.signal.reason
      if (init.signal?.aborted && !isTimeout(init.signal.reason)) throw error
      throw new Unreachable(url, error)
    }
  }

  const once = createClient({ baseUrl: url, credentials: options.key, fetch: fetchTold })

  /** A server that has never answered is more likely absent than busy: that is told at once. */
  const patiently = <T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> =>
    withRetries(deps, signal, async () => {
      try {
        return await attempt()
      } catch (error) {
        if (error instanceof Unreachable && !reached) throw new NeverReached(error)
        throw error
      }
    }).catch((error: unknown) => {
      throw error instanceof NeverReached ? error.unreachable : error
    })

  const isRepeatable = (op: OperationId, input: { headers?: Record<string, string> }): boolean =>
    operations[op].method === 'GET' || input.headers?.['idempotency-key'] !== undefined

  return {
    url,
    once,
    call<Op extends OperationId>(op: Op, input: CallInput<Op>) {
      const signal = input.signal ?? deps.signal
      const attempt = () =>
        once.call(op, { ...input, signal: AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]) })
      return isRepeatable(op, input) ? patiently(signal, attempt) : attempt()
    },
    addressOf: (op, input, reference) => once.addressOf(op, input, reference),
    stream: (op, input) => once.stream(op, input),
    fetchPath: (path, init) => patiently(init?.signal ?? deps.signal, () => once.fetchPath(path, init)),
  }
}

/** Keeps withRetries from repeating. */
class NeverReached extends Error {
  readonly unreachable: Unreachable
  constructor(unreachable: Unreachable) {
    super(unreachable.message)
    this.unreachable = unreachable
  }
}

const isTimeout = (reason: unknown): boolean => reason instanceof DOMException && reason.name === 'TimeoutError'

/** Every item of a list, page by page, up to a number of items. */
export async function* listAll<Op extends OperationId>(
  api: Client,
  op: Op,
  query: Record<string, unknown>,
  itemsMax = Number.POSITIVE_INFINITY,
  params?: Record<string, string>,
): AsyncGenerator<Page<Op>> {
  let left = itemsMax
  let cursor: string | null = null
  do {
    const limit = Math.min(left, pageItemsMax)
    const input = { params, query: { ...query, limit, cursor: cursor ?? undefined } }
    // Every list of the contract takes limit and cursor and answers items and next_cursor.
    const page = (await api.call(op, input as unknown as CallInput<Op>)) as {
      items: Page<Op>[]
      next_cursor: string | null
    }
    yield* page.items.slice(0, left)
    left -= page.items.length
    cursor = page.next_cursor
  } while (cursor !== null && left > 0)
}

const pageItemsMax = 200

/** Problems after which no other request of the same command can succeed either. */
export const isHopeless = (error: unknown): boolean =>
  error instanceof Unreachable || (error instanceof ApiProblem && [401, 403].includes(error.problem.status))
