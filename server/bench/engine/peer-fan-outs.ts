// A fan-out with one join on engines that have such a thing: children that do nothing, and a parent that may start only after
// all of them. From the call that creates them to the start of the parent, as ours is measured.

import { FlowProducer, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { PgBoss } from 'pg-boss'
import { openTestRedis, testRedisUrl } from '../../src/testing/redis.ts'
import { createTestDatabase } from '../../src/testing/database.ts'
import type { Row } from '../benchmark.ts'

const slots = 50
/** Longer than either takes for 100,000; one that stands still is told of instead of being waited for. */
const joinMsMax = 150_000

async function measure(what: string, count: number, run: () => Promise<void>): Promise<Row> {
  let peakBytes = 0
  const watch = setInterval(() => (peakBytes = Math.max(peakBytes, process.memoryUsage.rss())), 100)
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`${what}: no join within ${joinMsMax} ms`)), joinMsMax)
  const startMs = performance.now()
  try {
    await Promise.race([run(), late.promise])
    const seconds = (performance.now() - startMs) / 1_000
    return {
      what: `${what}: fan-out of ${count} and one join`,
      count,
      tasks_per_s: Math.round(count / seconds),
      result: `${seconds.toFixed(1)} s, ${Math.round(peakBytes / 1e6)} MB`,
    }
  } finally {
    clearInterval(watch)
    clearTimeout(timer)
  }
}

/** Undefined without a Redis. */
export async function measureBullmqFanOut(count: number): Promise<Row | undefined> {
  const server = testRedisUrl()
  if (server === undefined) return undefined
  const redis = await openTestRedis(server)
  const connection = new Redis(redis.url, { maxRetriesPerRequest: null })
  const options = { connection, prefix: '{flow}' }
  const producer = new FlowProducer(options)
  const workers: Worker[] = []
  try {
    return await measure('bullmq', count, async () => {
      const opts = { removeOnComplete: true }
      const children = Array.from({ length: count }, (_, n) => ({ name: 'part', queueName: 'part', data: { n }, opts }))
      await producer.add({ name: 'join', queueName: 'join', opts, children })
      await new Promise<void>((resolve) => {
        workers.push(
          new Worker('part', async () => ({ ok: true }), { ...options, concurrency: slots }),
          new Worker('join', async () => resolve(), options),
        )
        for (const worker of workers) worker.on('error', () => {})
      })
    })
  } finally {
    await Promise.all(workers.map((worker) => worker.close(true)))
    await producer.close()
    connection.disconnect()
    redis.client.disconnect()
  }
}

/** Undefined without a PostgreSQL server. */
export async function measurePgBossFanOut(count: number): Promise<Row | undefined> {
  const test = await createTestDatabase()
  try {
    if (test.url === undefined) return undefined
    const boss = new PgBoss({ connectionString: test.url, supervise: true, flowIntervalSeconds: 1, schedule: false })
    boss.on('error', () => {})
    await boss.start()
    for (const name of ['part', 'join']) await boss.createQueue(name)
    try {
      return await measure('pg-boss', count, async () => {
        const parts = Array.from({ length: count }, (_, n) => ({ ref: `p${n}`, name: 'part', data: { n } }))
        await boss.flow([...parts, { ref: 'join', name: 'join', data: {}, dependsOn: parts.map(({ ref }) => ref) }])
        const often = { burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }
        await boss.work('part', { ...often, batchSize: slots, localConcurrency: 2 }, async () => {})
        await new Promise<void>((resolve) => {
          void boss.work('join', { pollingIntervalSeconds: 0.5 }, async () => resolve())
        })
      })
    } finally {
      await boss.stop({ graceful: false })
    }
  } finally {
    await test.drop()
  }
}
