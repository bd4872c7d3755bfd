// The way to Redis or Valkey. Nothing is decided by what it holds and nothing is lost with it, so a call never waits for
// it to come back: without a connection it fails at once, and a server that does not answer is given up after a
// deadline, together with the connection, on which answers would from then on be late.

import { Redis } from 'ioredis'
import type { Log } from './log.ts'
import { Problem } from './problem.ts'

export const redisCallTimeoutMs = 1_000
const connectTimeoutMs = 2_000
const reconnectMsMax = 2_000
const keepAliveMs = 10_000

export interface RedisConnection {
  readonly client: Redis
  /**
   * Runs calls on the client; throws Problem('queue_unavailable') when they fail or the deadline passes. Whether what
   * was sent took effect is then unknown.
   */
  call<T>(work: (client: Redis) => Promise<T>, timeoutMs?: number): Promise<T>
  /** A connection of its own, for subscriptions; closed with this one. */
  duplicate(): Redis
  close(): Promise<void>
}

/** Waits a moment for the first connection; when there is none, connecting goes on in the background. */
export async function openRedis(options: { url: string; log: Log; name?: string }): Promise<RedisConnection> {
  const client = new Redis(options.url, {
    connectionName: options.name ?? 'millrace',
    connectTimeout: connectTimeoutMs,
    keepAlive: keepAliveMs,
    // Fail fast: no waiting for a connection, and nothing sent twice after one is lost.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: null, // Required by BullMQ; without the queue and resending it has nothing to retry.
    retryStrategy: (attempts) => Math.min(reconnectMsMax, 50 * 2 ** Math.min(attempts, 6)),
  })
  const clients = [client]
  let lost = false
  client.on('error', (error: Error) => {
    if (!lost) options.log.warn('redis.connection_lost', { error: error.message })
    lost = true
  })
  client.on('ready', () => {
    if (lost) options.log.info('redis.connection_restored')
    lost = false
  })
  await firstConnection(client)
  return {
    client,

    async call(work, timeoutMs = redisCallTimeoutMs) {
      try {
        return await withDeadline(work(client), timeoutMs)
      } catch (error) {
        if (error instanceof Problem) {
          // While it is reconnecting, this would end the attempts for good.
          if (error.code === 'queue_unavailable' && client.status === 'ready') client.disconnect(true)
          throw error
        }
        const reason = error instanceof Error ? error.message : String(error)
        throw new Problem('queue_unavailable', { detail: `Redis: ${reason}.`, cause: error })
      }
    },

    duplicate() {
      const other = client.duplicate()
      // Its owner learns of a lost connection by the events that follow.
      other.on('error', () => {})
      clients.push(other)
      return other
    },

    async close() {
      for (const each of clients) each.disconnect()
    },
  }
}

function firstConnection(client: Redis): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, connectTimeoutMs)
    function done(): void {
      clearTimeout(timer)
      client.off('ready', done).off('error', done)
      resolve()
    }
    client.on('ready', done).on('error', done)
  })
}

async function withDeadline<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const detail = `Redis: no answer within ${timeoutMs} ms.`
    timer = setTimeout(() => reject(new Problem('queue_unavailable', { detail })), timeoutMs)
  })
  // A rejection after the deadline has nobody left to hear it.
  promise.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
