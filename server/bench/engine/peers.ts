// The engines that one would choose from otherwise, each in its fastest documented setting: BullMQ on Redis; pg-boss with
// batches of 50; graphile-worker with a local queue and batched completion; DBOS with one workflow per task. Each handler
// inserts a result row.

import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk'
import { Queue, Worker } from 'bullmq'
import { Logger, makeWorkerUtils, run, type Runner } from 'graphile-worker'
import { Redis } from 'ioredis'
import pg from 'pg'
import { PgBoss } from 'pg-boss'
import { createTestDatabase } from '../../src/testing/database.ts'
import type { OpenSide, Side } from './side.ts'

interface Payload {
  sentMs: number
}
const chunkCount = 1_000
const padding = 'a'.repeat(60)

async function forChunks(count: number, put: (payloads: (Payload & { padding: string })[]) => Promise<unknown>) {
  for (let at = 0; at < count; at += chunkCount)
    await put(Array.from({ length: Math.min(chunkCount, count - at) }, () => ({ sentMs: 0, padding })))
}

/** A database of its own with the table of results, made by the first process and dropped by it. */
async function openResults(databaseUrl: string | undefined) {
  const test = databaseUrl === undefined ? await createTestDatabase() : undefined
  const url = databaseUrl ?? test?.url
  if (url === undefined) throw new Error('peers need a PostgreSQL server')
  const pool = new pg.Pool({ connectionString: url, max: 10 })
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  if (test)
    await pool.query(
      'create table bench_result (id bigint generated always as identity primary key, body jsonb not null, at timestamptz not null default now())',
    )
  return {
    url,
    pool,
    insert: () =>
      pool.query({ name: 'result', text: 'insert into bench_result (body) values ($1)', values: ['{"bytes":12345}'] }),
    async close() {
      await pool.end()
      await test?.drop()
    },
  }
}

type Results = Awaited<ReturnType<typeof openResults>>
const peer =
  (open: (results: Results, redisUrl: string | undefined, first: boolean) => Promise<Side>): OpenSide =>
  async ({ databaseUrl, redisUrl }) => {
    const results = await openResults(databaseUrl)
    const side = await open(results, redisUrl, databaseUrl === undefined)
    return {
      side: {
        ...side,
        async close() {
          await side.close()
          await results.close()
        },
      },
      databaseUrl: results.url,
    }
  }

const bullmq = peer(async (results, redisUrl) => {
  if (redisUrl === undefined) throw new Error('bullmq needs a Redis')
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null })
  const options = { connection, prefix: '{peer}' }
  const defaultJobOptions = { removeOnComplete: true, removeOnFail: true }
  const queue = new Queue<Payload>('bench', { ...options, defaultJobOptions })
  let worker: Worker<Payload> | undefined
  return {
    enqueue: (count) => forChunks(count, (data) => queue.addBulk(data.map((each) => ({ name: 't', data: each })))),
    enqueueOne: async (sentMs) => void (await queue.add('t', { sentMs })),
    async work(slots, tell) {
      const handle = async ({ data }: { data: Payload }): Promise<void> => {
        tell.started(data.sentMs)
        await results.insert()
      }
      worker = new Worker<Payload>('bench', handle, { ...options, concurrency: slots })
      worker.on('completed', () => tell.done(1))
      worker.on('error', () => {})
    },
    async close() {
      await worker?.close(true)
      await queue.close()
      connection.disconnect()
    },
  }
})

const pgBoss = peer(async (results, _, first) => {
  const boss = new PgBoss({
    connectionString: results.url,
    max: 10,
    supervise: false,
    schedule: false,
    useListenNotify: true,
  })
  boss.on('error', () => {})
  await boss.start()
  if (first) await boss.createQueue('bench', { notify: true, retryLimit: 2, expireInSeconds: 900 })
  return {
    enqueue: (count) =>
      forChunks(count, (data) =>
        boss.insert(
          'bench',
          data.map((each) => ({ data: each })),
        ),
      ),
    enqueueOne: async (sentMs) => void (await boss.send('bench', { sentMs })),
    async work(slots, tell) {
      const options = { batchSize: slots, localConcurrency: 2, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }
      await boss.work<Payload>('bench', options, async (jobs) => {
        for (const job of jobs) tell.started(job.data.sentMs)
        await Promise.all(jobs.map(() => results.insert()))
        tell.done(jobs.length)
      })
    },
    close: () => boss.stop({ graceful: false }),
  }
})

const graphileWorker = peer(async (results, _, first) => {
  const logger = new Logger(() => () => {})
  const utils = await makeWorkerUtils({ pgPool: results.pool, logger })
  if (first) await utils.migrate()
  let runner: Runner | undefined
  return {
    enqueue: (count) =>
      forChunks(count, (data) => utils.addJobs(data.map((payload) => ({ identifier: 'bench', payload })))),
    enqueueOne: async (sentMs) => void (await utils.addJob('bench', { sentMs })),
    async work(slots, tell) {
      runner = await run({
        connectionString: results.url,
        logger,
        noHandleSignals: true,
        preset: {
          worker: {
            concurrentJobs: slots,
            maxPoolSize: 12,
            pollInterval: 2_000,
            localQueue: { size: slots + 1 },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
          },
        },
        taskList: {
          bench: async (payload) => {
            tell.started((payload as Payload).sentMs) // What enqueue put in.
            await results.insert()
          },
        },
      })
      runner.events.on('job:success', () => tell.done(1))
    },
    async close() {
      await runner?.stop()
      await utils.release()
    },
  }
})

const dbosWorkflow = 'bench'
const dbos = peer(async (results) => {
  let handle: (payload: Payload) => Promise<void> = async () => {}
  DBOS.registerWorkflow((payload: Payload) => handle(payload), { name: dbosWorkflow })
  const settings = { name: 'bench', systemDatabaseUrl: results.url, logLevel: 'error', runAdminServer: false }
  DBOS.setConfig({ ...settings, systemDatabasePoolSize: 20, executorID: `w${process.pid}` })
  await DBOS.launch()
  const client = await DBOSClient.create({ systemDatabaseUrl: results.url })
  const put = (payload: Payload) => client.enqueue({ queueName: 'bench', workflowName: dbosWorkflow }, payload)
  return {
    enqueue: (count) =>
      forChunks(count, async (data) => {
        for (let at = 0; at < data.length; at += 50) await Promise.all(data.slice(at, at + 50).map(put))
      }),
    enqueueOne: async (sentMs) => void (await put({ sentMs })),
    async work(slots, tell) {
      handle = async ({ sentMs }) => {
        tell.started(sentMs)
        await results.insert()
        tell.done(1)
      }
      await DBOS.registerQueue('bench', {
        workerConcurrency: slots,
        minPollingIntervalMs: 100,
        onConflict: 'always_update',
      })
    },
    async close() {
      await client.destroy()
      await DBOS.shutdown()
    },
  }
})

export const peers = { bullmq, 'pg-boss': pgBoss, 'graphile-worker': graphileWorker, DBOS: dbos } as const
