// The parts an installation runs on, opened by what the settings name: embedded ones in this process, or real servers.
// Each can be told to people: what it is, and what survives what.

import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { createRateLimiter, type RateLimiter } from '../auth/rate-limit.ts'
import { createInstallationSecrets, type SecretWrapping } from '../auth/installation-secrets.ts'
import { systemClock, type Clock } from '../platform/clock.ts'
import type { Config } from '../platform/config.ts'
import type { Database } from '../platform/database.ts'
import { systemIds, type Ids } from '../platform/ids.ts'
import { createLog, type Log } from '../platform/log.ts'
import { createMetrics, type Metrics } from '../platform/metrics.ts'
import { migrate } from '../platform/migrate.ts'
import { openPglite } from '../platform/pglite.ts'
import { openPostgres } from '../platform/postgres.ts'
import { openRedis, type RedisConnection } from '../platform/redis.ts'
import { createRedisWakeBus } from '../platform/redis-wake.ts'
import { createLocalWakeBus, type WakeBus } from '../platform/wake.ts'
import type { ClaimedTask } from '../processing/engine-store.ts'
import { createBullmqQueue } from '../queue/bullmq.ts'
import { createFailoverQueue } from '../queue/failover.ts'
import { createHandOut, type HandOut } from '../queue/hand-out.ts'
import { createPgQueue } from '../queue/pg.ts'
import type { ReadyQueue } from '../queue/ready-queue.ts'
import { createVault } from '../storage/encrypted-vault.ts'
import { createKeyRing, type KeyRing } from '../storage/key-ring.ts'
import { loadMasterKeyByCommand } from '../storage/master-key-command.ts'
import { loadOrCreateMasterKey } from '../storage/master-key-file.ts'
import { unwrapSecret, wrapSecret, type MasterKey } from '../storage/master-key.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { openStore } from '../storage/open-store.ts'
import type { ShardedStore } from '../storage/sharded.ts'
import type { Vault } from '../storage/vault.ts'

export interface Parts {
  readonly config: Config
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
  readonly metrics: Metrics
  readonly limiter: RateLimiter
  readonly database: Database
  readonly objectStore: ObjectStore | ShardedStore
  readonly masterKey: MasterKey
  readonly keyRing: KeyRing
  readonly vault: Vault
  readonly secretWrapping: SecretWrapping
  readonly queue: ReadyQueue | HandOut<ClaimedTask>
  readonly wake: WakeBus
  /** Names of the migrations that this start applied. */
  readonly migrations: readonly string[]
  /** By name, for people: the banner and the doctor's report. */
  readonly descriptions: Record<string, string>
  close(): Promise<void>
}

/** Shared by all roles of a split installation, so that one with another master key does not start. */
const masterKeyCheckName = 'master_key_check'

/**
 * Opens what the settings name and brings the database to the newest schema. Throws Problem setting_invalid,
 * database_unavailable, storage_unavailable; what was opened by then is closed again.
 */
export async function openParts(config: Config): Promise<Parts> {
  const clock = systemClock
  const ids = systemIds
  const log = createLog(config.logLevel, { role: config.role })
  const opened: { close(): Promise<unknown> }[] = []
  const keep = <Part extends { close(): Promise<unknown> }>(part: Part): Part => {
    opened.push(part)
    return part
  }
  const close = async (): Promise<void> => {
    for (const part of opened.toReversed())
      await part.close().catch((error: unknown) => log.warn('part.close_failed', { error: String(error) }))
  }
  try {
    const database = keep(await openDatabase(config, log))
    const migrations = await migrate(database)
    const masterKey = await loadMasterKey(config)
    const secretWrapping = wrappingBy(masterKey)
    await checkMasterKey(database, secretWrapping)
    const objectStore = keep(await openStore(config.objectStore, { log, verify: config.objectStoreVerify }))
    const redis = config.redisUrl === undefined ? undefined : keep(await openRedis({ url: config.redisUrl, log }))
    const keyRing = createKeyRing({ database, masterKey, clock })
    const wake = redis === undefined ? createLocalWakeBus() : keep(createRedisWakeBus({ redis, ids }))
    const queue = keep(await openQueue({ config, database, redis, clock, ids, log, wake }))
    return {
      config,
      clock,
      ids,
      log,
      metrics: createMetrics({ processFigures: true }),
      limiter: createRateLimiter({ clock }),
      database,
      objectStore,
      masterKey,
      migrations,
      keyRing,
      vault: createVault({ store: objectStore, keyRing, ids, log }),
      secretWrapping,
      queue,
      wake,
      descriptions: {
        database: `${database.kind === 'pglite' ? 'PGlite' : 'PostgreSQL'} ${database.version}: ${database.durability}`,
        queue: queueDescriptions[queue.kind],
        store: `${storeNames[objectStore.kind]}: ${objectStore.durability}`,
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

const storeNames: Record<ObjectStore['kind'], string> = { disk: 'disk', s3: 'S3', sharded: 'sharded' }

const queueDescriptions: Record<Parts['queue']['kind'], string> = {
  'in-process': 'none: tasks are handed from the database to the worker in this process',
  pg: 'in the database: workers claim their tasks there',
  bullmq: 'BullMQ on Redis; it holds hints only, and the database takes over when Redis is away',
}

async function openDatabase(config: Config, log: Log): Promise<Database> {
  if (config.databaseUrl !== undefined)
    return openPostgres({
      url: config.databaseUrl,
      log,
      prepare: config.databasePrepare,
      applicationName: `millrace-${config.role}`,
    })
  const directory = path.join(config.dataFolder, 'database')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  return openPglite({ directory })
}

const loadMasterKey = ({ masterKeyCommand, masterKeyFile }: Config): Promise<MasterKey> =>
  masterKeyCommand === undefined ? loadOrCreateMasterKey(masterKeyFile) : loadMasterKeyByCommand(masterKeyCommand)

interface QueueParts {
  config: Config
  database: Database
  redis: RedisConnection | undefined
  clock: Clock
  ids: Ids
  log: Log
  wake: WakeBus
}

/**
 * Redis where there is one; else the database, unless it is embedded: then this process is the only one there is, and the
 * queue in its memory is true to that.
 */
async function openQueue({ config, database, redis, clock, ids, log, wake }: QueueParts): Promise<Parts['queue']> {
  const pg = () => createPgQueue({ database, wake, clock })
  if (redis !== undefined)
    return createFailoverQueue({
      primary: await createBullmqQueue({ redis, clock, ids, log }),
      fallback: pg(),
      clock,
      log,
    })
  return config.databaseUrl === undefined ? createHandOut({ clock, wake }) : pg()
}

const wrappingBy = (masterKey: MasterKey): SecretWrapping => ({
  wrap: (name, secret) => wrapSecret(masterKey, name, secret),
  unwrap: (name, wrapped) => unwrapSecret(masterKey, name, wrapped),
})

/** Throws Problem('setting_invalid') when the data were stored under another master key. */
async function checkMasterKey(database: Database, wrapping: SecretWrapping): Promise<void> {
  const secrets = createInstallationSecrets({ database, wrapping })
  await secrets.getOrMake(masterKeyCheckName, () => Buffer.from(masterKeyCheckName))
}
