// Small uploads of one tenant that become ready at about the same time are sealed in one transaction, with as many
// statements for all of them as for one. They would wait for each other anyway, for the lock of the tenant's usage.
// A group gathers while the one before is being sealed, or, for a moment at most, while bytes of others are being stored;
// whoever comes alone waits for nobody. What cannot be sealed is looked for by halving, so that it fails alone; and nobody
// is answered before the commit that holds his file.
//
//   ready ──▶ gathering ──the one under way has ended,──▶ one transaction for all ──committed──▶ each his answer
//                         nobody else is being stored      └──failed──▶ halves, each a transaction of its own

import type { UploadResult } from '@millrace/contract'
import { enterFiles } from '../files/seal.ts'
import type { Clock } from '../platform/clock.ts'
import { isOutage, type Database, type Tx } from '../platform/database.ts'
import type { RowId } from '../platform/ids.ts'
import { invariant, Problem } from '../platform/problem.ts'
import { reserveFileIds } from '../files/file.sql.ts'
import { createMicroBatch } from '../processing/micro-batch.ts'
import type { SubmittedJob } from '../processing/submission.ts'
import { requestHashOf, toJob, toNewFile, toResult, type SealDependencies, type UploadToSeal } from './seal-upload.ts'

export interface SealTogetherDependencies extends SealDependencies {
  database: Database
  clock: Clock
}

/** A disk stores some small files in it; a store over a network, which takes longer for one, makes nobody wait for itself. */
const gatherMsMax = 10
/** Metadata may be 64 KiB each; of so many a statement is a few megabytes at most. */
const togetherCountMax = 64

type Outcome = UploadResult | Error

export interface SealTogether {
  /** Stores the bytes of a file that will be sealed here. */
  readonly storing: <T>(tenantId: number, store: () => Promise<T>) => Promise<T>
  /**
   * Seals a new file for which nothing is reserved, with others of its tenant. Throws what submitJobs, enter and finish
   * throw; nothing of it is written then.
   */
  readonly seal: (upload: UploadToSeal) => Promise<UploadResult>
}

export function createSealTogether(deps: SealTogetherDependencies): SealTogether {
  const storingCounts = new Map<number, number>()
  const tenants = new Map<number, { seal: (upload: UploadToSeal) => Promise<Outcome>; waitingCount: number }>()

  function open(tenantId: number) {
    const seal = createMicroBatch<UploadToSeal, Outcome>({
      clock: deps.clock,
      countMax: togetherCountMax,
      waitMs: gatherMsMax,
      othersCome: () => storingCounts.has(tenantId),
      parallelMax: 1,
      run: (uploads) => sealAll(deps, tenantId, uploads),
    })
    const opened = { seal, waitingCount: 0 }
    tenants.set(tenantId, opened)
    return opened
  }

  async function storing<T>(tenantId: number, store: () => Promise<T>): Promise<T> {
    storingCounts.set(tenantId, (storingCounts.get(tenantId) ?? 0) + 1)
    try {
      return await store()
    } finally {
      const left = (storingCounts.get(tenantId) ?? 0) - 1
      if (left > 0) storingCounts.set(tenantId, left)
      else storingCounts.delete(tenantId)
    }
  }

  async function seal(upload: UploadToSeal): Promise<UploadResult> {
    const { tenantId } = upload.order.principal
    const tenant = tenants.get(tenantId) ?? open(tenantId)
    tenant.waitingCount++
    try {
      const outcome = await tenant.seal(upload)
      if (outcome instanceof Error) throw outcome
      return outcome
    } finally {
      tenant.waitingCount--
      if (tenant.waitingCount === 0) tenants.delete(tenantId)
    }
  }

  return { storing, seal }
}

/** In the order of the uploads. Never throws, because some of them may have been committed. */
async function sealAll(
  deps: SealTogetherDependencies,
  tenantId: number,
  uploads: readonly UploadToSeal[],
): Promise<Outcome[]> {
  try {
    return await deps.database.withTenant(tenantId, (tx) => sealWithin(deps, tx, uploads))
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown))
    // Nobody's fault among them; halving would only knock at the same door again.
    if (uploads.length === 1 || isOutage(error)) return uploads.map(() => error)
    const middle = Math.ceil(uploads.length / 2)
    return [
      ...(await sealAll(deps, tenantId, uploads.slice(0, middle))),
      ...(await sealAll(deps, tenantId, uploads.slice(middle))),
    ]
  }
}

interface Entering {
  upload: UploadToSeal
  fileId: RowId<'file'>
  job: SubmittedJob
  result: UploadResult
}

/** Those that no pipeline takes are answered with the problem, and nothing of them is written. */
async function sealWithin(
  deps: SealTogetherDependencies,
  tx: Tx,
  uploads: readonly UploadToSeal[],
): Promise<Outcome[]> {
  const fileIds = await reserveFileIds(tx, uploads.length)
  const sealed = uploads.map((upload, index) => {
    const fileId = fileIds[index]
    invariant(fileId !== undefined, 'as many ids are reserved as were asked for')
    const { name, metadata } = toNewFile(upload)
    return { upload, fileId, version: 1, name, metadata }
  })
  const jobs = await deps.submission.submitJobs(
    tx,
    sealed.map((each) => toJob(each.upload, each)),
  )
  const outcomes = sealed.map((each, index): Entering | Problem => {
    const job = jobs[index]
    invariant(job !== undefined, 'each upload has a job or a problem')
    return job instanceof Problem ? job : { ...each, job, result: toResult(each.upload, each, job) }
  })
  const entering = outcomes.flatMap((outcome) => (outcome instanceof Problem ? [] : [outcome]))
  if (entering.length > 0) await enter(deps, tx, entering)
  return outcomes.map((outcome) => (outcome instanceof Problem ? outcome : outcome.result))
}

/** The usage row is changed last. */
async function enter(
  { quota, idempotency }: SealTogetherDependencies,
  tx: Tx,
  entering: readonly Entering[],
): Promise<void> {
  await enterFiles(
    tx,
    entering.map(({ upload, fileId }) => ({ ...toNewFile(upload), fileId })),
    entering.map(({ upload: { order }, job }) => ({
      tenantId: order.principal.tenantId,
      actor: order.principal.actor,
      action: 'job.create',
      target: job.jobId,
      requestId: order.requestId,
    })),
  )
  const answers = entering.flatMap(({ upload, result: response }) => {
    const { claim } = upload.order
    return claim === undefined ? [] : [{ claim, requestHash: requestHashOf(upload), response }]
  })
  const bytes = entering.reduce((sum, { result }) => sum + result.size_bytes, 0)
  const { tenantId } = entering[0]!.upload.order.principal // All are of one tenant.
  // Both are on their way at once.
  await Promise.all([idempotency.finishAll(tx, answers), quota.enter(tx, tenantId, { bytes, files: entering.length })])
}
