import { Type, type Static } from 'typebox'
import { Timestamp } from './time.ts'

const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])

/** The figures of the installation, answered by GET /admin/metrics. */
export const AdminMetrics = Type.Object(
  {
    system: Type.Object({
      active_workers: Type.Integer({ minimum: 0 }),
      queued_jobs: Type.Integer({ minimum: 0 }),
      processing_throughput: Type.Number({ description: 'Jobs ended per minute, over the last five minutes.' }),
      error_rate: Type.Number({
        minimum: 0,
        maximum: 1,
        description: 'Failed share of the jobs ended in the last hour.',
      }),
    }),
    storage: Type.Object({
      total_files: Type.Integer({ minimum: 0 }),
      total_size_gb: Type.Number({ minimum: 0, description: 'Plaintext bytes of files and outputs, in 10^9 bytes.' }),
      storage_cost_hour: Type.Number({
        minimum: 0,
        description: 'In the currency of the configured price per GB and month.',
      }),
    }),
    users: Type.Object({
      active_tenants: Type.Integer({ minimum: 0, description: 'Tenants with a job in the last 24 hours.' }),
      total_users: Type.Integer({ minimum: 0 }),
    }),
  },
  { $id: 'AdminMetrics' },
)
export type AdminMetrics = Static<typeof AdminMetrics>

export const WorkerResource = Type.Object(
  {
    worker_id: Type.String(),
    host: Type.String(),
    sandbox: Type.String(),
    slots: Type.Integer({ minimum: 0 }),
    busy: Type.Integer({ minimum: 0 }),
    cpu_share: Type.Number({ minimum: 0 }),
    memory_bytes: Type.Integer({ minimum: 0 }),
    started_at: Timestamp,
    last_seen_at: Timestamp,
  },
  { $id: 'Worker' },
)
export type WorkerResource = Static<typeof WorkerResource>

const atLeastZero = { minimum: 0 }

/** What waits in a pool and how many slots it wants, answered by GET /admin/queues. */
export const QueueResource = Type.Object(
  {
    pool: Type.Integer(atLeastZero),
    slots: Type.Integer({ ...atLeastZero, description: 'Of the workers seen in the last minute.' }),
    slots_wanted: Type.Integer({
      ...atLeastZero,
      description: 'Waiting and running tasks, of each tenant at most its cap: what an autoscaler goes by.',
    }),
    backlog_tasks: Type.Integer({ ...atLeastZero, description: 'Counted up to 10,000 of each tenant and lane.' }),
    oldest_wait_seconds: Type.Number(atLeastZero),
    drain_seconds: Type.Number({
      ...atLeastZero,
      description: 'Until all of this is done with the present slots, by the learned times of its steps.',
    }),
    updated_at: Type.Union([Timestamp, Type.Null()], {
      description: 'When the leader wrote this; null before it ever did.',
    }),
    tenants: Type.Array(
      Type.Object({
        tenant_id: Type.String(),
        backlog_tasks: Type.Integer(atLeastZero),
        in_flight_tasks: Type.Integer(atLeastZero),
        oldest_wait_seconds: Type.Number(atLeastZero),
        weight: Type.Integer(),
        running_max: Type.Integer(atLeastZero),
        paused: Type.Boolean(),
      }),
      { description: 'Tenants with work, the longest backlog first, at most 100.' },
    ),
  },
  { $id: 'Queue' },
)
export type QueueResource = Static<typeof QueueResource>

/** The accounting identity and what stands out, answered by GET /admin/doctor. */
/** What a store was seen to do. Null: it does not apply to a store of this kind. */
const StoreReport = Type.Object({
  name: Type.String({ description: '"store", or the name of the shard.' }),
  kind: Type.Enum(['disk', 's3', 'sharded']),
  durability: Type.String(),
  conditional_put: Type.Boolean({ description: 'Of two puts of one key that ask for it, the second is refused.' }),
  range: Type.Boolean({ description: 'A range gives exactly its bytes.' }),
  list_order: Type.Boolean({ description: 'Lists are in byte order of the keys.' }),
  large_objects: Type.Boolean({ description: 'An object of several parts comes back whole.' }),
  small_parts: orNull(
    Type.Boolean({ description: 'A part below 5 MiB that is not the last is taken; none that small is ever sent.' }),
  ),
  checksums: orNull(Type.Boolean({ description: 'A body that does not have its checksum is refused.' })),
  versioning: orNull(
    Type.Enum(['off', 'on', 'suspended', 'unknown'], {
      description: 'Whether what is deleted stays as an old version.',
    }),
  ),
  put_ms: Type.Number({ minimum: 0, description: 'Of a small object.' }),
  get_ms: Type.Number({ minimum: 0 }),
  probed_at: Type.String({ format: 'date-time' }),
})

export const DoctorReport = Type.Object(
  {
    healthy: Type.Boolean(),
    jobs: Type.Object({
      inputs: Type.Integer(),
      done: Type.Integer(),
      failed: Type.Integer(),
      quarantined: Type.Integer(),
      cancelled: Type.Integer(),
      in_flight: Type.Integer(),
    }),
    parts: Type.Record(Type.String(), Type.String(), { description: 'What each part runs on.' }),
    stores: Type.Array(StoreReport, {
      description: 'What each object store really does; tried out again after an hour. Empty when it does not answer.',
    }),
    findings: Type.Array(
      Type.Object({
        severity: Type.Enum(['info', 'warning', 'error']),
        code: Type.String(),
        detail: Type.String(),
        remedy: Type.String(),
      }),
    ),
  },
  { $id: 'DoctorReport' },
)
export type DoctorReport = Static<typeof DoctorReport>
