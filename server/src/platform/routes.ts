// How a feature hands its operations to the gateway: an object from operation id to handler. The gateway validates
// the input against the contract before it calls, knows the principal, and turns Problems into answers.

import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { BodyOf, OperationId, ParamsOf, QueryOf, ResponseOf } from '@millrace/contract'
import type { Log } from './log.ts'
import type { Principal } from './principal.ts'

export interface RequestContext {
  readonly principal: Principal
  readonly requestId: string
  /** GET or HEAD where both are served; the gateway drops the body of an answer to HEAD. */
  readonly method: string
  readonly headers: IncomingHttpHeaders
  /** The raw body of an operation whose bodyType is not JSON. */
  readonly body: Readable
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal
  /** Address of the client, as the trusted proxy chain tells it. */
  readonly clientAddress: string
  readonly log: Log
}

export interface HandlerInput<Op extends OperationId> {
  readonly params: ParamsOf<Op>
  readonly query: QueryOf<Op>
  readonly body: BodyOf<Op>
}

/** An answer that is not JSON: bytes with their own status and headers. */
export interface StreamAnswer {
  readonly kind: 'stream'
  readonly status: number
  readonly headers: Record<string, string>
  /** Its pieces are used for nothing else: once they are sent, their memory is given back. */
  readonly body: Readable | undefined
}

/** Server-sent events; the gateway frames them, keeps the connection warm and ends it when the client goes. */
export interface EventAnswer {
  readonly kind: 'events'
  readonly events: AsyncIterable<{ id: string; data: unknown }>
}

export type Handler<Op extends OperationId> = (
  input: HandlerInput<Op>,
  context: RequestContext,
) => Promise<ResponseOf<Op> | StreamAnswer | EventAnswer>

/** A feature's operations. The composition root merges the groups; an operation without a handler does not compile there. */
export type RouteGroup<Ops extends OperationId> = { readonly [Op in Ops]: Handler<Op> }
