import { operations, type OperationId } from '@millrace/contract'
import type { FastifyInstance } from 'fastify'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Watchers } from './watchers.ts'

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
const statusClasses = ['2xx', '3xx', '4xx', '5xx'] as const
const durationBuckets = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30, 300]

/** Counts and times every request by operation, and writes one line for each at level debug. */
export function observeRequests(app: FastifyInstance, deps: { metrics: Metrics; watchers: Watchers; log: Log }): void {
  const { metrics, watchers, log } = deps
  const duration = metrics.histogram({
    name: 'millrace_http_request_duration_seconds',
    help: 'Time from the first byte of a request to the last byte of its answer, event streams aside.',
    labels: { operation: Object.keys(operations) as OperationId[], method: methods, status: statusClasses },
    buckets: durationBuckets,
  })
  metrics.gauge({
    name: 'millrace_http_event_watchers',
    help: 'Event streams that are open.',
    read: () => watchers.count,
  })
  app.addHook('onResponse', async (request, reply) => {
    const operation = request.routeOptions.config.operationId ?? 'other'
    duration.observe(
      {
        // A value outside the closed list counts as "other".
        operation: operation as OperationId,
        method: request.method as (typeof methods)[number],
        status: `${Math.floor(reply.statusCode / 100)}xx` as (typeof statusClasses)[number],
      },
      reply.elapsedTime / 1_000,
    )
    log.debug('http.answered', {
      requestId: request.id,
      operation,
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime * 10) / 10,
    })
  })
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The operation of the contract that a route serves. */
    operationId?: OperationId
  }
}
