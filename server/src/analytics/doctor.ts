// The doctor looks for what must not be: inputs that are neither done nor under way, bytes or rows that belong to
// nothing, work that nobody does. Each finding says what to do about it.

import type { DoctorReport } from '@millrace/contract'
import type { Database, Sql } from '../platform/database.ts'
import { Problem } from '../platform/problem.ts'
import type { StoreProbe, StoreProbeReport } from '../storage/probe.ts'
import * as queries from './doctor.sql.ts'

type Severity = DoctorReport['findings'][number]['severity']

interface Check {
  severity: Severity
  find: (sql: Sql) => Promise<queries.Finding>
  /** After the number. */
  detail: string
  remedy: string
}

const checks = {
  upload_without_job: {
    severity: 'error',
    find: queries.findUploadsWithoutJob,
    detail: 'file versions have no job',
    remedy:
      'Start a job for each (POST /jobs), and report it: sealing a file and submitting its job is one transaction.',
  },
  file_without_version: {
    severity: 'error',
    find: queries.findFilesWithoutVersion,
    detail: 'files point at a version that does not exist',
    remedy: 'Restore the rows of file_version from a backup.',
  },
  task_without_object: {
    severity: 'error',
    find: queries.findTasksWithoutObject,
    detail: 'tasks wait for an object that has no row',
    remedy: 'Cancel their jobs; their files were erased or must be restored from a backup.',
  },
  object_missing: {
    severity: 'error',
    find: (sql) => queries.findStoreFindings(sql, 'missing'),
    detail: 'objects have no bytes in the store',
    remedy: 'Restore them from a replica or a backup of the store; the next scrub of each takes its finding back.',
  },
  object_damaged: {
    severity: 'error',
    find: (sql) => queries.findStoreFindings(sql, 'damaged'),
    detail: 'objects have other bytes in the store than were written',
    remedy: 'Check the disks; restore the objects from a replica or a backup of the store.',
  },
  erasure_stuck: {
    severity: 'warning',
    find: queries.findStuckErasures,
    detail: 'erased objects still lie in the store, unreadable for everybody',
    remedy: 'Start a maintenance role, and see why the store does not delete (a retention lock, missing rights).',
  },
  object_unreferenced: {
    severity: 'warning',
    find: queries.findUnreferencedObjects,
    detail: 'objects belong to no file and no output',
    remedy: 'Nothing is lost; retention removes them. If the number grows, report it.',
  },
  lease_expired: {
    severity: 'error',
    find: queries.findExpiredLeases,
    detail: 'tasks have a lease that ended and was not taken back',
    remedy: 'Start a maintenance role; it takes back the tasks of lost workers.',
  },
  job_without_task: {
    severity: 'error',
    find: queries.findJobsWithoutTasks,
    detail: 'jobs are under way but have no task that could still run',
    remedy: 'Cancel and retry them, and report it.',
  },
  ended_job_with_task: {
    severity: 'error',
    find: queries.findEndedJobsWithTasks,
    detail: 'tasks are still open though their job has ended',
    remedy: 'Retry the job or cancel it again, and report it.',
  },
  counter_wrong: {
    severity: 'error',
    find: queries.findWrongCounters,
    detail: 'steps count other open tasks than there are',
    remedy: 'Cancel and retry the jobs, and report it.',
  },
  leader_missing: {
    severity: 'error',
    find: queries.findMissingLeader,
    detail: 'schedulers have not renewed their lease',
    remedy: 'Start a maintenance role; without a leader no task is admitted.',
  },
  workers_missing: {
    severity: 'error',
    find: queries.findBacklogWithoutWorkers,
    detail: 'tasks wait and there is no worker',
    remedy: 'Start a worker role.',
  },
  backlog_stuck: {
    severity: 'warning',
    find: queries.findStuckBacklog,
    detail: 'tasks have waited for more than ten minutes though workers have free slots',
    remedy: 'See the log of the maintenance role: admission does not keep up or fails.',
  },
  backlog_crowded: {
    severity: 'info',
    find: queries.findCrowdedBacklog,
    detail: 'tasks have waited for more than ten minutes, and every slot is busy',
    remedy: 'Add workers or slots when that is too long; GET /admin/queues tells how many have work, and for how long.',
  },
  retry_overdue: {
    severity: 'error',
    find: queries.findOverdueRetries,
    detail: 'tasks are to be tried again at a moment that has passed',
    remedy: 'See the log of the maintenance role: it puts them back, and does not or fails.',
  },
  cancel_stuck: {
    severity: 'error',
    find: queries.findStuckCancellations,
    detail: 'jobs were cancelled, or stopped on a failure, minutes ago and have not ended',
    remedy: 'See the log of the maintenance role: it ends them, and does not or fails.',
  },
  step_forgotten: {
    severity: 'error',
    find: queries.findForgottenSteps,
    detail: 'steps have not begun though all that they need has ended',
    remedy: 'Cancel and retry their jobs, and report it.',
  },
  hold_forgotten: {
    severity: 'error',
    find: queries.findForgottenHolds,
    detail: 'tasks are held though their job is not paused',
    remedy: 'Pause and resume their jobs, and report it.',
  },
  batch_stuck: {
    severity: 'error',
    find: queries.findStuckBatches,
    detail: 'batches have something to do and have not moved for five minutes',
    remedy: 'See the log of the maintenance role: it takes them further, and does not or fails.',
  },
  control_task_long: {
    severity: 'warning',
    find: queries.findLongControlTasks,
    detail: 'orders over many jobs have run for more than an hour',
    remedy:
      'See their progress (GET /control-tasks) and the log of the maintenance role; cancel those that do not move.',
  },
  schedule_overdue: {
    severity: 'error',
    find: queries.findOverdueSchedules,
    detail: 'schedules are due and were not fired',
    remedy: 'See the log of the maintenance role: it fires them, and does not or fails.',
  },
  schedule_failed: {
    severity: 'warning',
    find: queries.findFailedSchedules,
    detail: 'schedules could not start anything the last time',
    remedy: 'Read their problem (GET /schedules), and correct or pause them.',
  },
  job_paused: {
    severity: 'info',
    find: queries.findPausedJobs,
    detail: 'jobs are paused and older than an hour',
    remedy: 'Resume or cancel them when that is not meant.',
  },
  upload_stuck: {
    severity: 'warning',
    find: queries.findStuckUploads,
    detail: 'uploads or imports have lost their process and were not taken on',
    remedy: 'Start an upload role; it goes on with them.',
  },
  backlog_held: {
    severity: 'info',
    find: queries.findHeldBacklog,
    detail: 'tasks wait because their tenant or pool is paused, has reached its cap or starts no more a second',
    remedy: 'Resume it, or raise its cap or rate, when that is not meant; GET /admin/queues names the tenants.',
  },
  reservation_forgotten: {
    severity: 'warning',
    find: queries.findForgottenReservations,
    detail: 'reservations of quota have outlived their time',
    remedy: 'Start a maintenance role; it gives them back.',
  },
  dead_letters: {
    severity: 'info',
    find: queries.findDeadLetters,
    detail: 'tasks are dead letters',
    remedy: 'Read the problem of their jobs; retry those whose cause is gone.',
  },
} as const satisfies Record<string, Check>

export interface DoctorDependencies {
  database: Database
  storeProbe: StoreProbe
  /** What each part runs on, for people. */
  parts: Record<string, string>
}

/** Looks at everything once. Changes nothing but for the probe of the store, which removes what it puts. */
export async function examine({ database, storeProbe, parts }: DoctorDependencies): Promise<DoctorReport> {
  const { stores, findings: storeFindings } = await examineStores(storeProbe)
  return database.asSystem(async (tx) => {
    const jobs = await queries.countJobs(tx)
    const findings = [...storeFindings]
    const accounted = jobs.done + jobs.failed + jobs.quarantined + jobs.cancelled + jobs.in_flight
    if (accounted !== jobs.inputs) {
      const detail = `${jobs.inputs} jobs came in and ${accounted} are accounted for.`
      findings.push({ severity: 'error', code: 'jobs_unaccounted', detail, remedy: 'Report it.' })
    }
    for (const [code, check] of Object.entries<Check>(checks)) {
      const { count, example } = await check.find(tx)
      if (count === 0) continue
      const detail = `${count} ${check.detail}, e.g. ${example ?? '-'}.`
      findings.push({ severity: check.severity, code, detail, remedy: check.remedy })
    }
    return { healthy: findings.every((finding) => finding.severity !== 'error'), jobs, parts, stores, findings }
  })
}

type Findings = DoctorReport['findings']

async function examineStores(storeProbe: StoreProbe): Promise<{ stores: DoctorReport['stores']; findings: Findings }> {
  try {
    const reports = await storeProbe.reports()
    return { stores: reports.map(toStoreResource), findings: reports.flatMap(findingsOfStore) }
  } catch (error) {
    const detail = `The object store did not do what it was asked to: ${error instanceof Error ? error.message : String(error)}`
    const isFull = error instanceof Problem && error.code === 'storage_full'
    const finding = isFull
      ? { code: 'store_full', detail, remedy: 'Add room to the store; until then uploads are refused and steps fail.' }
      : {
          code: 'store_unanswering',
          detail,
          remedy: 'See the store and the way to it; uploads are refused and tasks wait until it answers.',
        }
    return { stores: [], findings: [{ severity: 'error', ...finding }] }
  }
}

const toStoreResource = (report: StoreProbeReport): DoctorReport['stores'][number] => ({
  name: report.name,
  kind: report.kind,
  durability: report.durability,
  conditional_put: report.conditionalPut,
  range: report.range,
  list_order: report.listOrder,
  large_objects: report.largeObjects,
  small_parts: report.smallParts ?? null,
  checksums: report.checksums ?? null,
  versioning: report.versioning ?? null,
  put_ms: report.putMs,
  get_ms: report.getMs,
  probed_at: report.probedAt.toISOString(),
})

/** What the platform cannot do without, and what the operator should know of. */
function findingsOfStore({ name, range, listOrder, largeObjects, checksums, versioning }: StoreProbeReport): Findings {
  const findings: Findings = []
  const faults = [
    ...(range ? [] : ['gives other bytes than a range asks for']),
    ...(listOrder ? [] : ['lists its keys in another order than that of their bytes']),
    ...(largeObjects ? [] : ['gives objects of several parts back as something else']),
  ]
  if (faults.length > 0)
    findings.push({
      severity: 'error',
      code: 'store_unfit',
      detail: `The store "${name}" ${faults.join(', and ')}.`,
      remedy: 'Use another store: what is in it cannot be relied upon.',
    })
  if (checksums === false)
    findings.push({
      severity: 'warning',
      code: 'store_ignores_checksums',
      detail: `The store "${name}" takes bytes that do not have the checksum sent with them.`,
      remedy: 'Set OBJECT_STORE_VERIFY=on, so that a byte that flips on its way is seen while its sender still has it.',
    })
  if (versioning === 'on')
    findings.push({
      severity: 'info',
      code: 'store_keeps_versions',
      detail: `The bucket of the store "${name}" keeps old versions: what was erased cannot be read, but still takes room.`,
      remedy: 'Have a lifecycle rule of the bucket remove old versions and the marks of deletions.',
    })
  return findings
}
