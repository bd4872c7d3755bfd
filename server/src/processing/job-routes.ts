import { lanes, type JobResource } from '@millrace/contract'
import { requireCleared } from '../files/clearance.ts'
import { isOurImage } from '../files/content.ts'
import { writeAudit } from '../platform/audit.ts'
import type { Database, Tx } from '../platform/database.ts'
import { decodeId, encodeId, type RowId } from '../platform/ids.ts'
import type { Principal } from '../platform/principal.ts'
import { Problem } from '../platform/problem.ts'
import type { RequestContext, RouteGroup, StreamAnswer } from '../platform/routes.ts'
import type { WakeBus } from '../platform/wake.ts'
import type { Catalogue } from './catalogue.ts'
import { findJobInput, findOutput, listJobs } from './job-read.sql.ts'
import { readJob, toJobSummary } from './job-resource.ts'
import type { JobSubmission } from './submission.ts'

/**
 * Moves that a person asks for. Each is one transaction with its audit event, and throws Problem('not_found') for a
 * job that the tenant does not have.
 */
export interface JobControl {
  /** Throws Problem('job_ended'). */
  cancelJob(tenantId: number, jobRowId: RowId<'job'>, actor: Principal['actor']): Promise<void>
  /** Lets what runs end and starts nothing else. Throws Problem('job_ended'), and conflict while it is being cancelled. */
  pauseJob(tenantId: number, jobRowId: RowId<'job'>, actor: Principal['actor']): Promise<void>
  /** Throws as pauseJob does; a job that is not paused goes on as it did. */
  resumeJob(tenantId: number, jobRowId: RowId<'job'>, actor: Principal['actor']): Promise<void>
  /** Throws Problem('job_not_ended'), or conflict when there is nothing to run again. */
  retryJob(tenantId: number, jobRowId: RowId<'job'>, actor: Principal['actor']): Promise<void>
  /** Throws Problem('job_not_ended'), or not_found for a step that the pipeline does not have. */
  replayStep(tenantId: number, jobRowId: RowId<'job'>, actor: Principal['actor'], step: string): Promise<void>
}

/** Answers with the bytes of an object, Range, conditions and HEAD included. */
export type ServeObject = (
  context: RequestContext,
  object: { objectId: string; name: string; contentType: string; etag: string; inline: boolean },
) => Promise<StreamAnswer>

export interface JobRouteDependencies {
  database: Database
  catalogue: Catalogue
  submission: JobSubmission
  control: JobControl
  serveObject: ServeObject
  wake: WakeBus
}

type JobOperations =
  | 'createJob'
  | 'listJobs'
  | 'getJob'
  | 'cancelJob'
  | 'pauseJob'
  | 'resumeJob'
  | 'retryJob'
  | 'replayStep'
  | 'getOutputContent'

export function jobRoutes(deps: JobRouteDependencies): RouteGroup<JobOperations> {
  const { database, catalogue, control, serveObject, wake } = deps

  const read = ({ tenantId }: Principal, jobRowId: RowId<'job'>): Promise<JobResource> =>
    database.withTenant(tenantId, (tx) => readJob(tx, { tenantId, jobRowId }, catalogue))

  return {
    createJob: async ({ body }, { principal, requestId }) => {
      const { tenantId, actor } = principal
      const fileId = idOf('file', body.file_id)
      const { file, submitted } = await database.withTenant(tenantId, async (tx) => {
        const file = await getJobInput(tx, tenantId, fileId)
        const submitted = await deps.submission.submitJob(tx, {
          tenantId,
          fileId,
          fileVersion: file.version,
          fileName: file.name,
          contentType: file.content_type,
          sizeBytes: file.size_bytes,
          sha256: file.sha256,
          objectId: file.object_id,
          metadata: file.metadata,
          depth: file.depth,
          ...(body.pipeline === undefined ? {} : { pipeline: body.pipeline }),
          lane: body.priority ?? lanes[1],
          actor,
        })
        await writeAudit(tx, { tenantId, actor, action: 'job.create', target: submitted.jobId, requestId })
        return { file, submitted }
      })
      wake.wake('backlog')
      wake.wake('outbox')
      return {
        job_id: submitted.jobId,
        status: 'queued',
        estimated_completion: submitted.estimatedCompletion.toISOString(),
        file_id: encodeId('file', fileId),
        name: file.name,
        size_bytes: file.size_bytes,
        sha256: file.sha256,
        content_type: file.content_type,
        pipeline: submitted.pipeline,
      }
    },

    listJobs: async ({ query }, { principal }) => {
      const { tenantId } = principal
      const limit = query.limit ?? 50
      const before = query.cursor === undefined ? undefined : decodeId('job', query.cursor)
      if (query.cursor !== undefined && before === undefined) {
        throw new Problem('invalid_request', { detail: 'The cursor is not one of ours.' })
      }
      // An id that cannot be one finds what a missing one finds: nothing.
      const filter = {
        ...(before !== undefined && { before }),
        ...(query.status !== undefined && { state: query.status }),
        ...(query.file_id !== undefined && { fileId: decodeId('file', query.file_id) ?? -1 }),
        ...(query.parent_job_id !== undefined && { parentJobId: decodeId('job', query.parent_job_id) ?? -1 }),
      }
      const rows = await database.withTenant(tenantId, (tx) => listJobs(tx, { tenantId, ...filter, limit: limit + 1 }))
      const page = rows.slice(0, limit)
      const last = rows.length > limit ? page.at(-1) : undefined
      return { items: page.map(toJobSummary), next_cursor: last ? encodeId('job', last.id) : null }
    },

    getJob: async ({ params }, { principal }) => read(principal, idOf('job', params.job_id)),

    cancelJob: async ({ params }, { principal }) => {
      const jobRowId = idOf('job', params.job_id)
      await control.cancelJob(principal.tenantId, jobRowId, principal.actor)
      return read(principal, jobRowId)
    },

    pauseJob: async ({ params }, { principal }) => {
      const jobRowId = idOf('job', params.job_id)
      await control.pauseJob(principal.tenantId, jobRowId, principal.actor)
      return read(principal, jobRowId)
    },

    resumeJob: async ({ params }, { principal }) => {
      const jobRowId = idOf('job', params.job_id)
      await control.resumeJob(principal.tenantId, jobRowId, principal.actor)
      return read(principal, jobRowId)
    },

    retryJob: async ({ params }, { principal }) => {
      const jobRowId = idOf('job', params.job_id)
      await control.retryJob(principal.tenantId, jobRowId, principal.actor)
      return read(principal, jobRowId)
    },

    replayStep: async ({ params }, { principal }) => {
      const jobRowId = idOf('job', params.job_id)
      await control.replayStep(principal.tenantId, jobRowId, principal.actor, params.step)
      return read(principal, jobRowId)
    },

    getOutputContent: async ({ params }, context) => {
      const { tenantId } = context.principal
      const jobId = idOf('job', params.job_id)
      const outputId = idOf('output', params.output_id)
      const output = await database.withTenant(tenantId, (tx) => findOutput(tx, { tenantId, jobId, outputId }))
      // What was made of a file that lies in the trash or was erased is not there either.
      if (!output?.file_state) throw new Problem('not_found')
      requireCleared(output.file_state)
      const { object_id: objectId, name, content_type: contentType, sha256 } = output
      return serveObject(context, {
        objectId,
        name,
        contentType,
        etag: `"${sha256}"`,
        inline: isOurImage(output.processor),
      })
    },
  }
}

/** A malformed id names nothing, like a missing one. */
function idOf<Kind extends 'job' | 'file' | 'output'>(kind: Kind, text: string): RowId<Kind> {
  const rowId = decodeId(kind, text)
  if (rowId === undefined) throw new Problem('not_found')
  return rowId
}

async function getJobInput(tx: Tx, tenantId: number, fileId: RowId<'file'>) {
  const file = await findJobInput(tx, tenantId, fileId)
  if (!file) throw new Problem('not_found')
  requireCleared(file.state)
  return file
}
