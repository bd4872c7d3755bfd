// gateway/ is the edge: HTTP in, features called, HTTP out. It owns request ids, authentication's place in a request,
// the policy table, limits on bodies, pace and rate, the answers' forms (JSON, bytes, events, problems), the OpenAPI
// document and its pages, the dashboard's files and the probes.
// It must not know what a file or a job is, and no SQL: that is the features' business, and it calls them only through
// the contract's operations.
// Invariants: no handler runs before the operation's rule has let its principal through and its input has passed its
// schemas; every answer that is not a success is a problem document with the request's id; whatever a client sends or
// leaves out, the process stays alive and the connection is freed.

import { operations, type Operation, type OperationId } from '@millrace/contract'
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { RateLimiter, RatePolicy } from '../auth/rate-limit.ts'
import type { Clock } from '../platform/clock.ts'
import type { Ids } from '../platform/ids.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import { Problem } from '../platform/problem.ts'
import type { Service } from '../platform/service.ts'
import { createBodyPace } from './body-pace.ts'
import { mountDashboard } from './dashboard-files.ts'
import { docsStyleSha256, operationsPage, problemsPage } from './docs-pages.ts'
import { openapiDocument } from './openapi.ts'
import { mountOperations, type Authenticator, type Routes } from './operation-routes.ts'
import { policy } from './policy.ts'
import { answerClientError, hasUnreadBody, sendProblem } from './problem-answer.ts'
import { createReadiness, type ReadinessCheck } from './readiness.ts'
import { createRequestLimits } from './request-limits.ts'
import { observeRequests } from './request-metrics.ts'
import { dataHeaders, renderedPagePolicy, strictTransport } from './security-headers.ts'
import { createWatchers } from './watchers.ts'

export interface GatewayOptions {
  /** Handlers of the operations that this process serves. */
  routes: Routes
  authenticator: Authenticator
  limiter: RateLimiter
  requestRate?: RatePolicy
  clock: Clock
  ids: Ids
  log: Log
  metrics: Metrics
  /** By name; a process is ready when all of them resolve. */
  readiness: Record<string, ReadinessCheck>
  host: string
  /** 0 takes any free port. */
  port: number
  /** Addresses of proxies whose X-Forwarded-For is believed; left out, nobody's is. */
  trustProxy?: string | string[] | boolean
  /** Folder of the built dashboard. */
  dashboardFolder?: string
  connectionsMax?: number
  watchersMax?: number
  /** For tests: an answer that its schema does not allow becomes a failure. */
  checkResponses?: boolean
}

export interface Gateway extends Service {
  /** For inject: the same application without a port. */
  readonly app: FastifyInstance
  /** Where it listens, e.g. http://127.0.0.1:8080; throws before start. */
  url(): string
}

/** JSON bodies are small things; a pipeline's source is the largest. */
const jsonBodyBytesMax = 1024 * 1024
const connectionsMaxDefault = 30_000
const headersTimeoutMs = 20_000
/** Longer than the idle timeout of the usual load balancers (60 s), so that it is never us who closes first. */
const keepAliveTimeoutMs = 75_000
/** For the client to read a refusal that was sent before its body had come to an end. */
const lingerMs = 5_000
const idleCheckMs = 20

/** Nothing listens until start. start throws the system's error when the port is taken (EADDRINUSE) or forbidden. */
export function createGateway(options: GatewayOptions): Gateway {
  const { log, clock } = options
  const ending = new AbortController()
  const app = createApp(options)
  const watchers = createWatchers({ clock, ...(options.watchersMax && { watchersMax: options.watchersMax }) })
  const bodyPace = createBodyPace({ clock })
  const limits = createRequestLimits({
    limiter: options.limiter,
    ...(options.requestRate && { rate: options.requestRate }),
  })

  app.addHook('onRequest', async (request, reply) => {
    reply.headers(dataHeaders).header('x-request-id', request.id)
    if (request.protocol === 'https') reply.header('strict-transport-security', strictTransport)
    if (ending.signal.aborted) {
      reply.header('connection', 'close')
      throw new Problem('shutting_down')
    }
    // Told before the body is looked at; a page may still stand in for a missing GET.
    if (request.is404 && request.method !== 'GET') throw new Problem('not_found')
  })
  app.addHook('onResponse', lingerOverUnreadBody)
  observeRequests(app, { metrics: options.metrics, watchers, log })
  const pageFallback = mountDashboard(app, options.dashboardFolder)
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, log))
  app.setNotFoundHandler((request, reply) => {
    if (!pageFallback(request, reply)) sendProblem(new Problem('not_found'), request, reply, log)
  })
  mountOperations(app, options.routes, {
    authenticator: options.authenticator,
    policy,
    limits,
    watchers,
    bodyPace,
    log,
    checkResponses: options.checkResponses ?? false,
  })
  mountProbes(app, options)
  mountDocs(app)

  /** Connections become idle one by one as their answers end; each is kept alive for the next request, which never comes. */
  async function letGoOfIdle(closed: AbortSignal): Promise<void> {
    while (!closed.aborted) {
      app.server.closeIdleConnections()
      await clock.sleep(idleCheckMs, closed)
    }
  }

  return {
    name: 'gateway',
    app,
    url: () => addressOf(app),
    async start(signal) {
      bodyPace.start(AbortSignal.any([signal, ending.signal]))
      await app.listen({ host: options.host, port: options.port })
      log.info('gateway.listening', { url: addressOf(app) })
    },
    async stop(deadlineMs) {
      ending.abort()
      watchers.close()
      const closed = new AbortController()
      void clock.sleep(deadlineMs, closed.signal).then(() => closed.signal.aborted || app.server.closeAllConnections())
      void letGoOfIdle(closed.signal)
      await app.close()
      closed.abort()
    },
  }
}

function createApp(options: GatewayOptions): FastifyInstance {
  const app = fastify({
    logger: false,
    trustProxy: options.trustProxy ?? false,
    requestIdHeader: false,
    genReqId: () => `req_${options.ids.randomHex(10)}`,
    bodyLimit: jsonBodyBytesMax,
    // Bodies are held to a pace instead (body-pace.ts): an honest gigabyte may take an hour.
    requestTimeout: 0,
    keepAliveTimeout: keepAliveTimeoutMs,
    http: { headersTimeout: headersTimeoutMs, connectionsCheckingInterval: 5_000, maxHeaderSize: 16 * 1024 },
    // Our own hook answers while the server ends, with a problem document.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // Ids of any length must reach authentication first.
    routerOptions: { maxParamLength: 16 * 1024, caseSensitive: true },
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, request, reply) => sendProblem(error, request, reply.headers(dataHeaders), options.log),
  })
  app.server.maxConnections = options.connectionsMax ?? connectionsMaxDefault

  const parseJson = app.getDefaultJsonParser('error', 'error') // __proto__ and constructor.prototype are refused
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    // Clients send the type with an empty body to operations that take none.
    if (body === '') done(null, undefined)
    // parseAs: 'string' makes it one.
    else void parseJson(request, body as string, done)
  })
  for (const type of ['multipart/form-data', 'application/offset+octet-stream'])
    app.addContentTypeParser(type, (_request, _payload, done) => done(null, undefined))
  // Bytes of any type where the operation takes them; elsewhere what has no parser is refused.
  app.addContentTypeParser('*', (request, _payload, done) => {
    const { operationId } = request.routeOptions.config as { operationId?: OperationId }
    const operation: Operation | undefined = operationId && operations[operationId]
    if (operation?.bodyType === undefined) done(new Problem('unsupported_media_type'))
    else done(null, undefined)
  })
  return app
}

/**
 * Reads on for a moment after an early refusal, so that the client gets to see it, then lets go of the connection. The
 * refusal does not say "connection: close": Node would close at once, and a client that is still writing would learn of
 * a broken pipe before it had read why.
 */
async function lingerOverUnreadBody(request: FastifyRequest): Promise<void> {
  if (!hasUnreadBody(request) || request.raw.destroyed) return
  request.raw.resume()
  const timer = setTimeout(() => request.raw.destroy(), lingerMs).unref()
  request.raw.once('close', () => clearTimeout(timer))
}

function mountProbes(app: FastifyInstance, options: GatewayOptions): void {
  const readiness = createReadiness({ clock: options.clock, checks: options.readiness })
  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/readyz', async () => ({ status: 'ready', parts: await readiness.check() }))
  app.get('/metrics', async (_, reply) => {
    const { contentType, text } = await options.metrics.scrape()
    return reply.header('content-type', contentType).send(text)
  })
}

function mountDocs(app: FastifyInstance): void {
  const page = (render: () => string) => {
    let text: string | undefined
    return async (_: FastifyRequest, reply: FastifyReply) =>
      reply
        .header('content-type', 'text/html; charset=utf-8')
        .header('content-security-policy', renderedPagePolicy(docsStyleSha256))
        .send((text ??= render()))
  }
  app.get('/docs', page(operationsPage))
  app.get('/docs/problems', page(problemsPage))
  app.get('/openapi.json', async (_, reply) =>
    reply.header('content-type', 'application/openapi+json; charset=utf-8').send(JSON.stringify(openapiDocument())),
  )
}

function addressOf(app: FastifyInstance): string {
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new Error('The gateway does not listen')
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `http://${host}:${address.port}`
}
