// What must hold once a fault is over and every job has ended, from what the clients were told, from the rows behind the
// product's back, and from the store. The numbers are those of the checker of the simulation (I1 to I16).
//
//   I1  what was acknowledged is readable and has its hash     I2  one job for each upload, ended once, in the right way
//   I3  outputs exist, once, of the attempt that counts        I5  the ledger is the sum of its rows
//   I6  no reservation outlives its time                       I7  no row without an object
//   I8  one result for a task, its last epoch's; fences grow   I9  counters are zero when a job has ended
//   I11 one effect for a key                                   I12 one audit event for each change
//   I15 a cancelled job has no open task                       I16 nobody saw progress go back (traffic.ts)
//   A1  inputs are all accounted for, in the doctor and in /metrics
//   E1  each event was told to a watcher, once, in order        L1  one leader per epoch, and epochs grow
//   P1  no process ended that nobody ended                      Q1  nobody noticed, where nobody must

import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import type { Client } from '@millrace/contract'
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { forEachAtOnce, until } from '../e2e/jobs.ts'
import { s3Client } from '../harness/servers/s3.ts'
import type { LeaderWatch } from './leader-watch.ts'
import { maintainers, type Rig } from './rig.ts'
import type { TrackedFile, Traffic } from './traffic.ts'
import type { Watcher } from './watcher.ts'

export interface Evidence {
  rig: Rig
  traffic: Traffic
  watchers: readonly Watcher[]
  leaders: LeaderWatch
  /** Of the files' names. */
  prefix: string
  /** Where the outbox ended before. */
  outboxBefore: OutboxEnd
  /** No client may have noticed anything. */
  isQuiet: boolean
}

export interface OutboxEnd {
  xid: string
  id: number
}

const readsAtOnce = 6
const settleDeadlineMs = 20_000
/** Of rows of one kind. */
const toldMax = 5

/** What does not hold; empty when all is well. */
export async function findFaults(evidence: Evidence): Promise<string[]> {
  const { rig, traffic, prefix, leaders } = evidence
  const faults = [...traffic.faults, ...leaders.faults, ...rig.takeSurprises().map((surprise) => `P1: ${surprise}`)]
  faults.push(...wrongEnds(traffic.files))
  if (evidence.isQuiet) {
    const failed = traffic.calls.filter(({ outcome, status }) => outcome !== 'ok' && !(status >= 400 && status < 500))
    for (const { what, outcome, ms } of failed) faults.push(`Q1: ${what} failed with ${outcome} after ${ms} ms`)
  }
  // What engine and duties still have to tidy up when the last job has ended.
  await until(
    'nothing is open',
    async () => (await rig.servers.query(openSql, [prefix])).length === 0,
    settleDeadlineMs,
  ).catch(() => undefined)
  const looks: readonly (() => Promise<string[]>)[] = [
    () => findWrongRows(rig, prefix),
    () => findMiscounted(rig, prefix, traffic.files),
    () => findUnreadable(rig.tenants, traffic.files),
    () => findMissingObjects(rig, prefix),
    () => findUntold(evidence),
    () => findUnaccounted(rig),
  ]
  for (const look of looks) {
    const found = await look().catch((error: unknown) => [`it could not be looked at: ${String(error)}`])
    faults.push(...found)
  }
  return faults
}

function wrongEnds(files: readonly TrackedFile[]): string[] {
  return files.flatMap(({ name, job, cancelled, reruns, isDamaged, acknowledged }) => {
    if (job === undefined || acknowledged === undefined) return []
    const allowed: string[] = isDamaged ? ['failed', 'completed_with_errors'] : ['completed']
    if (cancelled === true && reruns === 0) allowed.push('cancelled')
    const faults = allowed.includes(job.status)
      ? []
      : [`I2: ${name} ${job.status}: ${job.problem?.code} ${job.problem?.detail ?? ''}`]
    if (new Set(job.output_files).size !== job.output_files.length) faults.push(`I3: ${name} has an output twice`)
    if (job.status === 'completed' && job.progress !== 100) faults.push(`I9: ${name} is completed at ${job.progress} %`)
    return faults
  })
}

const jobs = `(select j.*, f.name from job j join file f on f.id = j.file_id where f.name like $1 || '-%')`
const open = `('blocked', 'delayed', 'queued', 'dispatched', 'running')`
const openSql = `select t.id from task t where t.job_id in (select id from ${jobs} j) and t.state in ${open}`

/** Each answers with what is wrong, one row each. */
const rowChecks: readonly { name: string; sql: string }[] = [
  {
    name: 'I11',
    sql: `select f.name || ' is there ' || count(*) || ' times' as found from file f
      where f.name like $1 || '-%' and f.parent_file_id is null group by f.name having count(*) > 1`,
  },
  {
    name: 'I2',
    sql: `select name || ' has ' || count(*) || ' jobs' as found from ${jobs} j group by name having count(*) > 1`,
  },
  {
    name: 'I2',
    sql: `select f.name || ' has no job' as found from file f
      where f.name like $1 || '-%' and not exists (select from job j where j.file_id = f.id)`,
  },
  { name: 'I2', sql: `select j.name || ' is ' || j.state as found from ${jobs} j where j.finished_at is null` },
  {
    name: 'I3',
    sql: `select j.name || ' has the output ' || o.name || ' of a task without a result' as found from ${jobs} j
      join output o on o.job_id = j.id where not exists (select from task_result r where r.task_id = o.task_id)`,
  },
  {
    name: 'I3',
    sql: `select j.name || ' has the output ' || o.name || ' of epoch ' || split_part(x.store_key, '/', 4) || ', and epoch ' || r.epoch || ' counts' as found
      from ${jobs} j join output o on o.job_id = j.id join object x on x.id = o.object_id join task_result r on r.task_id = o.task_id
      where x.store_key like 'results/%' and split_part(x.store_key, '/', 4) <> r.epoch::text`,
  },
  {
    name: 'I5',
    sql: `select 'tenant ' || u.tenant_id || ' has ' || u.files_count || ' files and ' || u.stored_bytes || ' bytes in the ledger, '
        || s.files || ' and ' || s.bytes || ' in its rows' as found
      from tenant_usage u cross join lateral (
        select (select count(*) from file f where f.tenant_id = u.tenant_id) as files,
          (select coalesce(sum(v.size_bytes), 0) from file_version v where v.tenant_id = u.tenant_id) as bytes) s
      where u.files_count <> s.files or u.stored_bytes <> s.bytes`,
  },
  {
    name: 'I5',
    sql: `select 'tenant ' || u.tenant_id || ' has ' || u.reserved_bytes || ' bytes reserved, and reservations of ' || s.bytes as found
      from tenant_usage u cross join lateral (
        select coalesce(sum(r.bytes), 0) as bytes, coalesce(sum(r.files), 0) as files from quota_reservation r where r.tenant_id = u.tenant_id) s
      where u.reserved_bytes <> s.bytes or u.reserved_files <> s.files`,
  },
  {
    name: 'I6',
    sql: `select 'reservation ' || id || ' has outlived its time' as found from quota_reservation where expires_at < now() - interval '90 seconds'`,
  },
  {
    name: 'I8',
    sql: `select j.name || ': ' || t.step || ' ' || t.state || ' at epoch ' || t.lease_epoch || ', its result is of ' || coalesce(r.epoch::text, 'none') as found
      from ${jobs} j join task t on t.job_id = j.id left join task_result r on r.task_id = t.id
      where (t.state = 'succeeded') <> (r.task_id is not null) or r.epoch <> t.lease_epoch`,
  },
  {
    name: 'I8',
    sql: `select j.name || ': ' || t.step || ' has two attempts of epoch ' || a.epoch as found from ${jobs} j join task t on t.job_id = j.id
      join task_attempt a on a.task_id = t.id group by j.name, t.step, t.id, a.epoch having count(*) > 1`,
  },
  {
    name: 'I8',
    sql: `select j.name || ': ' || t.step || ' has an attempt of epoch ' || a.epoch || ' after its result of ' || r.epoch as found
      from ${jobs} j join task t on t.job_id = j.id join task_attempt a on a.task_id = t.id join task_result r on r.task_id = t.id
      where a.epoch >= r.epoch`,
  },
  {
    name: 'I9',
    sql: `select j.name || ': ' || s.name || ' is ' || s.state || ' with ' || s.tasks_pending || ' tasks pending' as found
      from ${jobs} j join job_step s on s.job_id = j.id
      where j.finished_at is not null and (s.tasks_pending <> 0 or s.state in ('waiting', 'running')) and j.state <> 'failed'`,
  },
  {
    name: 'I9',
    sql: `select j.name || ' has ended with ' || j.steps_pending || ' steps pending' as found from ${jobs} j
      where j.state in ('completed', 'completed_with_errors') and j.steps_pending <> 0`,
  },
  {
    name: 'I15',
    sql: `select j.name || ' was cancelled and has a task ' || t.state as found from ${jobs} j join task t on t.job_id = j.id
      where j.state = 'cancelled' and t.state in ${open}`,
  },
]

/** Each upload, run and end of a job has one event that tells of it and one audit event. */
async function findMiscounted(rig: Rig, prefix: string, files: readonly TrackedFile[]): Promise<string[]> {
  const told = await rig.servers.query<{ name: string; created: number; ended: number }>(
    `select j.name, (count(*) filter (where o.type = 'job.created'))::int as created,
       (count(*) filter (where o.type = 'job.ended'))::int as ended
     from ${jobs} j left join outbox o on o.job_id = j.id group by j.name`,
    [prefix],
  )
  const audited = await rig.servers.query<{ target: string; action: string; count: number }>(
    `select target, action, count(*)::int as count from audit_event where target = any($1) group by target, action`,
    [files.flatMap(({ acknowledged }) => (acknowledged ? [acknowledged.job_id, acknowledged.file_id] : []))],
  )
  return files.flatMap(({ name, acknowledged }) => {
    if (acknowledged === undefined) return []
    const count = (target: string, action: string): number =>
      audited.find((row) => row.target === target && row.action === action)?.count ?? 0
    const { job_id: jobId, file_id: fileId } = acknowledged
    const runs = 1 + count(jobId, 'job.retry') + count(jobId, 'job.replay_step')
    const events = told.find((row) => row.name === name)
    const wanted: [string, number, number][] = [
      ['events job.created', events?.created ?? 0, 1],
      ['events job.ended', events?.ended ?? 0, runs],
      ['audit events file.create', count(fileId, 'file.create'), 1],
      ['audit events job.create', count(jobId, 'job.create'), 1],
      ['audit events job.end', count(jobId, 'job.end'), runs],
    ]
    return wanted
      .filter(([, found, expected]) => found !== expected)
      .map(([what, found, expected]) => `I12: ${name} has ${found} ${what}, and ${expected} would be right`)
  })
}

async function findWrongRows(rig: Rig, prefix: string): Promise<string[]> {
  const faults: string[] = []
  for (const { name, sql } of rowChecks) {
    const rows = await rig.servers.query<{ found: string }>(sql, sql.includes('$1') ? [prefix] : [])
    for (const { found } of rows.slice(0, toldMax)) faults.push(`${name}: ${found}`)
  }
  return faults
}

/** Reads every file and every output, and compares their hashes. */
async function findUnreadable(tenants: readonly Client[], files: readonly TrackedFile[]): Promise<string[]> {
  const faults: string[] = []
  await forEachAtOnce(files, readsAtOnce, async (file) => {
    const client = tenants[file.tenant]
    const { job, acknowledged } = file
    if (client === undefined || acknowledged === undefined || job === undefined) return
    const read = async (path: string, sha256: string, what: string): Promise<void> => {
      const problem = await hashOf(client, path).then(
        (found) => (found === sha256 ? undefined : 'is not what it was'),
        (error: unknown) => `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      )
      if (problem !== undefined) faults.push(`${what} ${problem}`)
    }
    // What was cancelled before it was looked at, or found to be damaged, stays in quarantine.
    if (job.status === 'completed')
      await read(`/api/v1/files/${acknowledged.file_id}/content`, file.sha256, `I1: ${file.name}`)
    for (const output of job.outputs)
      await read(output.download_url, output.sha256, `I3: ${output.uri} of ${file.name}`)
  })
  return faults
}

async function hashOf(client: Client, path: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await client.fetchPath(path, { signal: AbortSignal.timeout(15_000) })
      return createHash('sha256')
        .update(new Uint8Array(await answer.arrayBuffer()))
        .digest('hex')
    } catch (error) {
      if (attempt === 3) throw error
      await delay(300)
    }
  }
}

/** I7, of every object that was made since the experiment began. */
async function findMissingObjects(rig: Rig, prefix: string): Promise<string[]> {
  const stored = await listBucket(rig.servers.storeUrl)
  const rows = await rig.servers.query<{ store_key: string }>(
    `select x.store_key from object x where x.created_at > (select min(f.created_at) from file f where f.name like $1 || '-%')`,
    [prefix],
  )
  return rows
    .filter(
      ({ store_key: key }) => !(key.endsWith('/') ? stored.some((each) => each.startsWith(key)) : stored.includes(key)),
    )
    .map(({ store_key: key }) => `I7: there are no bytes of ${key}`)
}

async function listBucket(url: string): Promise<string[]> {
  const client = s3Client(url)
  try {
    const keys: string[] = []
    for (let token: string | undefined; ;) {
      const { Contents, NextContinuationToken } = await client.send(
        new ListObjectsV2Command({
          Bucket: new URL(url).hostname,
          ...(token !== undefined && { ContinuationToken: token }),
        }),
      )
      keys.push(...(Contents ?? []).flatMap(({ Key }) => Key ?? []))
      if (NextContinuationToken === undefined) return keys
      token = NextContinuationToken
    }
  } finally {
    client.destroy()
  }
}

/** E1: the watchers were told of every event since the experiment began, each once, in the order of the outbox. */
async function findUntold({ rig, watchers, outboxBefore }: Evidence): Promise<string[]> {
  const rows = await rig.servers.query<{ tenant_id: string; id: string }>(
    `select tenant_id, xid::text || '-' || id as id from outbox where (xid, id) > ($1::xid8, $2::bigint) order by outbox.xid, outbox.id`,
    [outboxBefore.xid, outboxBefore.id],
  )
  const byTenant = [...Map.groupBy(rows, ({ tenant_id: tenant }) => tenant).values()].map((list) =>
    list.map(({ id }) => id),
  )
  const heardBy = (ids: readonly string[]): Watcher | undefined =>
    watchers.find(({ told }) => ids.some((id) => told.includes(id)))
  const isTold = (ids: readonly string[]): boolean => {
    const told = new Set(heardBy(ids)?.told)
    return ids.every((id) => told.has(id))
  }
  await until('all is told', async () => byTenant.every(isTold), settleDeadlineMs).catch(() => undefined)
  return byTenant.flatMap((ids) => {
    const watcher = heardBy(ids)
    if (watcher === undefined) return [`E1: nobody was told of ${ids.length} events`]
    const wanted = new Set(ids)
    const told = watcher.told.filter((id) => wanted.has(id))
    const missing = ids.filter((id) => !told.includes(id))
    if (missing.length > 0) return [`E1: ${missing.length} of ${ids.length} events were not told, e.g. ${missing[0]}`]
    if (told.length !== ids.length) return [`E1: ${told.length - ids.length} events were told twice`]
    return told.every((id, index) => id === ids[index]) ? [] : ['E1: events were told in another order']
  })
}

/** A1: the doctor finds nothing wrong, and its figures are those of /metrics. */
async function findUnaccounted(rig: Rig): Promise<string[]> {
  const [operator] = rig.tenants
  if (operator === undefined) return ['there is no operator']
  const { findings, jobs: counts } = await operator.call('getDoctorReport', { signal: AbortSignal.timeout(20_000) })
  const faults = findings
    .filter(({ severity }) => severity !== 'info')
    .map(({ code, detail }) => `doctor: ${code}: ${detail}`)
  const { inputs, done, failed, quarantined, cancelled, in_flight: inFlight } = counts
  if (inputs !== done + failed + quarantined + cancelled + inFlight)
    faults.push(`A1: the doctor does not account for all: ${JSON.stringify(counts)}`)
  for (const role of maintainers) {
    const missing = /^millrace_accounting_missing_jobs (\S+)/m.exec(await rig.metrics(role))?.[1]
    if (missing !== '0') faults.push(`A1: /metrics of ${role} misses ${missing} jobs`)
  }
  return faults
}
