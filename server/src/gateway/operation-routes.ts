// Turns the rows of the contract into routes: authentication and the operation's rule before any byte of a body,
// then the schemas, then the feature's handler, then one of three kinds of answer.

import type { ServerResponse } from 'node:http'
import { apiPrefix, operations, type Operation, type OperationId, type ProblemCode } from '@millrace/contract'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Compile } from 'typebox/compile'
import type { Log } from '../platform/log.ts'
import { releaseBytes } from '../platform/owned-bytes.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem, invariant } from '../platform/problem.ts'
import type { EventAnswer, Handler, RequestContext, StreamAnswer } from '../platform/routes.ts'
import { jsonBytesPerSecondMin, uploadBytesPerSecondMin, type BodyPace } from './body-pace.ts'
import { createInputParser } from './input.ts'
import { hasUnreadBody } from './problem-answer.ts'
import { permits, type Rule } from './policy.ts'
import type { RequestLimits } from './request-limits.ts'
import type { Watchers } from './watchers.ts'

/** Who sent this request. Throws Problem unauthenticated, token_expired, rate_limited, database_unavailable. */
export interface Authenticator {
  authenticate(request: { authorization: string | undefined; clientAddress: string }): Promise<Principal>
}

/** Handlers of the operations that this process serves; roles/ makes sure that together they are all. */
export type Routes = { readonly [Op in OperationId]?: Handler<Op> }

export interface RouteDependencies {
  authenticator: Authenticator
  policy: Readonly<Record<OperationId, Rule>>
  limits: RequestLimits
  watchers: Watchers
  bodyPace: BodyPace
  log: Log
  /** Checks every JSON answer against its schema; for tests, because it costs as much as the answer itself. */
  checkResponses: boolean
}

/** Stands in for a principal where none is asked for; no tenant has this id. */
export const nobody: Principal = { kind: 'system', tenantId: -1, role: 'read-only', operator: false, actor: 'system' }

// What a handler gives and takes once the contract's types have been checked at run time instead.
type AnyHandler = (
  input: { params: unknown; query: unknown; body: unknown },
  context: RequestContext,
) => Promise<unknown>

export function mountOperations(app: FastifyInstance, routes: Routes, deps: RouteDependencies): void {
  const methodsByUrl = new Map<string, Set<string>>()
  for (const [id, operation] of Object.entries(operations) as [OperationId, Operation][]) {
    // The handler's own types are those of its row, which is what the input is parsed by.
    const handler = routes[id] as AnyHandler | undefined
    if (!handler) continue
    const rule = deps.policy[id]
    invariant(rule, `operation ${id} has no rule in the policy`)
    const url = apiPrefix + operation.path.replace(/\{(\w+)\}/g, ':$1')
    const methods = methodsByUrl.get(url) ?? new Set<string>()
    methodsByUrl.set(url, methods.add(operation.method))
    if (operation.method === 'GET') methods.add('HEAD')
    mountOperation(app, { id, operation, url, rule, handler }, deps)
  }
  for (const [url, methods] of methodsByUrl) refuseOtherMethods(app, url, methods)
}

interface Mounted {
  id: OperationId
  operation: Operation
  url: string
  rule: Rule
  handler: AnyHandler
}

function mountOperation(app: FastifyInstance, mounted: Mounted, deps: RouteDependencies): void {
  const { operation, rule, handler } = mounted
  const parseInput = createInputParser(operation)
  const responseCheck = deps.checkResponses && operation.response ? Compile(operation.response) : undefined
  const principals = new WeakMap<FastifyRequest, Principal>()
  const streamed = operation.bodyType !== undefined

  app.route({
    method: operation.method === 'GET' ? ['GET', 'HEAD'] : operation.method,
    url: mounted.url,
    exposeHeadRoute: false,
    config: { operationId: mounted.id },
    async onRequest(request, reply) {
      const principal = rule.allow === 'public' ? nobody : await deps.authenticator.authenticate(credentialsOf(request))
      deps.limits.take(rule.allow === 'public' ? request.ip : principal.actor, reply)
      if (!permits(rule, principal)) throw new Problem('forbidden')
      if (operation.responseType === 'text/event-stream') deps.watchers.admit()
      refuseOtherBodies(request, operation)
      if (hasUnreadBody(request))
        deps.bodyPace.watch(request.raw, streamed ? uploadBytesPerSecondMin : jsonBytesPerSecondMin)
      principals.set(request, principal)
    },
    async handler(request, reply) {
      const input = parseInput({ params: request.params, query: request.query, body: request.body })
      const principal = principals.get(request)
      invariant(principal, 'a request passes onRequest before its handler')
      const answer = await handler(input, contextOf(request, reply, principal, deps.log))
      if (isEventAnswer(answer))
        return sendEvents(answer, request, reply, {
          watchers: deps.watchers,
          isStillAllowed: recheck(rule, request, deps),
        })
      if (isStreamAnswer(answer)) return sendStream(answer, request, reply)
      invariant(!responseCheck || responseCheck.Check(answer), `${mounted.url} answered against its schema`)
      return sendJson(operation.status, answer, request, reply)
    },
  })
}

const credentialsOf = (request: FastifyRequest) => ({
  authorization: request.headers.authorization,
  clientAddress: request.ip,
})

const endingCodes: readonly ProblemCode[] = ['unauthenticated', 'token_expired', 'forbidden']

/** Asks again, with the same credentials, what was asked when the stream was opened. Keeps nothing else of the request. */
function recheck(rule: Rule, request: FastifyRequest, { authenticator }: RouteDependencies): () => Promise<boolean> {
  const credentials = credentialsOf(request)
  return async () => {
    try {
      return permits(rule, await authenticator.authenticate(credentials))
    } catch (error) {
      return !(error instanceof Problem && endingCodes.includes(error.code))
    }
  }
}

/** A body of another type than the operation takes is refused before a byte of it is read. */
function refuseOtherBodies(request: FastifyRequest, operation: Operation): void {
  const contentType = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  const { bodyType } = operation
  if (bodyType === '*/*') return
  const isJson = contentType === undefined || contentType === 'application/json'
  // A piece of an upload may be left out, and then its type says nothing; JSON bodies are told apart by their parser.
  const isExpected =
    bodyType === undefined
      ? isJson || !isStreamType(contentType)
      : contentType === bodyType || (bodyType !== 'multipart/form-data' && !hasUnreadBody(request))
  if (!isExpected) {
    throw new Problem('unsupported_media_type', {
      detail: `This operation takes ${bodyType ?? (operation.body ? 'application/json' : 'no body')}.`,
    })
  }
}

const isStreamType = (contentType: string): boolean =>
  contentType === 'multipart/form-data' || contentType === 'application/offset+octet-stream'

function refuseOtherMethods(app: FastifyInstance, url: string, methods: ReadonlySet<string>): void {
  const others = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter((method) => !methods.has(method))
  const allowed = [...methods].join(', ')
  app.route({
    method: others,
    url,
    exposeHeadRoute: false,
    async onRequest(_, reply) {
      reply.header('allow', allowed)
      throw new Problem('method_not_allowed', { detail: `Allowed here: ${allowed}.` })
    },
    handler: () => invariant(false, 'onRequest has refused'),
  })
}

function contextOf(request: FastifyRequest, reply: FastifyReply, principal: Principal, log: Log): RequestContext {
  let controller: AbortController | undefined
  return {
    principal,
    requestId: request.id,
    method: request.method,
    headers: request.headers,
    body: request.raw,
    clientAddress: request.ip,
    log: log.with({ requestId: request.id, tenantId: principal.tenantId }),
    // Made only for those who ask: most handlers are done before anyone could have gone.
    get signal() {
      if (!controller) {
        const made = (controller = new AbortController())
        if (reply.raw.destroyed) made.abort()
        else reply.raw.once('close', () => reply.raw.writableFinished || made.abort())
      }
      return controller.signal
    },
  }
}

function sendJson(status: number, answer: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.code(status)
  if (answer === undefined || status === 204) return reply.send()
  // JSON.stringify outruns a compiled serialiser on our resources: their unions would be validated again for each.
  const text = JSON.stringify(answer)
  reply.header('content-type', 'application/json; charset=utf-8')
  if (request.method !== 'HEAD') return reply.send(text)
  return reply.header('content-length', String(Buffer.byteLength(text))).send()
}

function sendStream(answer: StreamAnswer, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.code(answer.status).headers(answer.headers)
  if (request.method !== 'HEAD' && answer.body) {
    giveBackSent(reply.raw)
    return reply.send(answer.body)
  }
  answer.body?.destroy()
  return reply.send()
}

/** Gives the memory of the pieces of a body back as soon as the system has taken them. */
function giveBackSent(response: ServerResponse): void {
  const write = response.write.bind(response) as (piece: string | Uint8Array, taken: Taken) => boolean
  // So is it called by a stream that is piped into it.
  response.write = (piece: string | Uint8Array): boolean =>
    write(piece, (error) => {
      if (!error && typeof piece !== 'string') releaseBytes(piece)
    })
}

type Taken = (error: Error | null | undefined) => void

function sendEvents(
  answer: EventAnswer,
  request: FastifyRequest,
  reply: FastifyReply,
  deps: { watchers: Watchers; isStillAllowed: () => Promise<boolean> },
): FastifyReply {
  if (request.method === 'HEAD') {
    void answer.events[Symbol.asyncIterator]().return?.()
    return reply.header('content-type', 'text/event-stream').send()
  }
  const headers = Object.fromEntries(Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]))
  reply.hijack()
  deps.watchers.serve(answer, reply.raw, { headers, isStillAllowed: deps.isStillAllowed })
  return reply
}

const isEventAnswer = (answer: unknown): answer is EventAnswer =>
  typeof answer === 'object' && answer !== null && 'kind' in answer && answer.kind === 'events' && 'events' in answer

const isStreamAnswer = (answer: unknown): answer is StreamAnswer =>
  typeof answer === 'object' && answer !== null && 'kind' in answer && answer.kind === 'stream' && 'headers' in answer
