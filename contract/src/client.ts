// The TypeScript SDK: one typed call per operation, over fetch, for Node and browsers alike.

import {
  apiPrefix,
  operations,
  type BodyOf,
  type Operation,
  type OperationId,
  type ParamsOf,
  type QueryOf,
  type ResponseOf,
} from './operations.ts'
import type { ProblemDocument } from './problems.ts'

/** A problem document that the server answered with, as an error. */
export class ApiProblem extends Error {
  readonly problem: ProblemDocument
  /** How long the server asked to wait before the next try (Retry-After), where it did. */
  readonly retryAfterMs: number | undefined
  constructor(problem: ProblemDocument, retryAfterMs?: number) {
    super(problem.detail ?? problem.title)
    this.name = 'ApiProblem'
    this.problem = problem
    this.retryAfterMs = retryAfterMs
  }
}

export interface ClientOptions {
  /** Where the server is, e.g. http://127.0.0.1:8080 or https://example.org/millrace. */
  baseUrl: string
  /** API key or access token; a function is asked before every request. */
  credentials?: string | (() => string | Promise<string>)
  fetch?: typeof globalThis.fetch
}

type Given<Key extends string, Value> = Value extends undefined ? { [K in Key]?: undefined } : { [K in Key]: Value }
type OptionalWhenEmpty<Key extends string, Value> = [Value] extends [undefined]
  ? { [K in Key]?: undefined }
  : Partial<Value> extends Value
    ? { [K in Key]?: Value }
    : { [K in Key]: Value }
export type CallInput<Op extends OperationId> = Given<'params', ParamsOf<Op>> &
  OptionalWhenEmpty<'query', QueryOf<Op>> &
  Given<'body', BodyOf<Op>> & { form?: FormData; headers?: Record<string, string>; signal?: AbortSignal }

export interface Client {
  /** Calls an operation; throws ApiProblem for a problem answer. */
  call<Op extends OperationId>(op: Op, input: CallInput<Op>): Promise<ResponseOf<Op>>
  /** Calls an operation whose answer is a stream; the caller consumes the body. */
  stream<Op extends OperationId>(op: Op, input: CallInput<Op>): Promise<Response>
  /** Fetches a server path such as a download_url, with the client's credentials. */
  fetchPath(path: string, init?: RequestInit): Promise<Response>
  /** The whole address that an answer to this call means by a reference, such as the url of a link or of a part of an upload. */
  addressOf<Op extends OperationId>(op: Op, input: Pick<CallInput<Op>, 'params'>, reference: string): string
}

export function createClient(options: ClientOptions): Client {
  const doFetch = options.fetch ?? globalThis.fetch
  const base = options.baseUrl.replace(/\/+$/, '')

  async function fetchPath(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    const credentials = typeof options.credentials === 'function' ? await options.credentials() : options.credentials
    if (credentials) headers.set('authorization', `Bearer ${credentials}`)
    const response = await doFetch(base + path, { ...init, headers })
    if (!response.ok) throw new ApiProblem(await readProblem(response), readRetryAfterMs(response))
    return response
  }

  function stream<Op extends OperationId>(op: Op, input: CallInput<Op>): Promise<Response> {
    const operation: Operation = operations[op]
    const init: RequestInit = { method: operation.method, headers: { ...input.headers } }
    if (input.signal) init.signal = input.signal
    if (input.form) init.body = input.form
    else if (input.body !== undefined) {
      init.body = JSON.stringify(input.body)
      init.headers = { 'content-type': 'application/json', ...input.headers }
    }
    return fetchPath(operationPath(operation, input), init)
  }

  return {
    fetchPath,
    stream,
    addressOf: (op, input, reference) => new URL(reference, base + operationPath(operations[op], input)).href,
    async call<Op extends OperationId>(op: Op, input: CallInput<Op>) {
      const response = await stream(op, input)
      // The server validates its answers against the same schema, so the shape is the declared one.
      return (response.status === 204 ? undefined : await response.json()) as ResponseOf<Op>
    },
  }
}

/** Path and query of an operation, every part percent-encoded. */
export function operationPath(operation: Operation, input: { params?: unknown; query?: unknown }): string {
  const params = (input.params ?? {}) as Record<string, unknown>
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(params[name])))
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(input.query ?? {})) {
    if (value !== undefined && value !== null) query.set(name, String(value))
  }
  return apiPrefix + path + (query.size > 0 ? `?${query.toString()}` : '')
}

/** Seconds, as our server says it; a proxy's date is left out, and the caller waits as he sees fit. */
function readRetryAfterMs(response: Response): number | undefined {
  const value = response.headers.get('retry-after')
  return value !== null && /^\d{1,6}$/.test(value) ? Number(value) * 1_000 : undefined
}

async function readProblem(response: Response): Promise<ProblemDocument> {
  const text = await response.text()
  try {
    const body = JSON.parse(text) as ProblemDocument
    if (typeof body.code === 'string') return body
  } catch {
    // Not ours: a proxy's page, or an answer that was cut. It is told below by its status.
  }
  return {
    type: 'about:blank',
    title: `The server answered ${response.status}`,
    status: response.status,
    code: 'internal',
    detail: text.slice(0, 200),
    remedy: 'Check that the URL is that of a Millrace server.',
  }
}
