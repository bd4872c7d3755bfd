// Jobs and their outputs.

import { Type } from 'typebox'
import { EventResource } from '../resources/event.ts'
import { UploadResult } from '../resources/file.ts'
import { JobResource, JobSummary } from '../resources/job.ts'
import { jobStates, lanes } from '../states.ts'
import { List, page, JobParams, OutputParams, type Operation } from './operation.ts'

export const jobOperations = {
  createJob: {
    method: 'POST',
    path: '/jobs',
    tag: 'jobs',
    summary: 'Run a pipeline over a file that is already here',
    body: Type.Object({
      file_id: Type.String({ maxLength: 100 }),
      pipeline: Type.Optional(Type.String({ maxLength: 200 })),
      priority: Type.Optional(Type.Enum([...lanes])),
    }),
    status: 202,
    response: UploadResult,
  },
  listJobs: {
    method: 'GET',
    path: '/jobs',
    tag: 'jobs',
    summary: 'Jobs of the tenant, newest first',
    query: Type.Object({
      ...page,
      status: Type.Optional(Type.Enum([...jobStates])),
      file_id: Type.Optional(Type.String({ maxLength: 100 })),
      parent_job_id: Type.Optional(Type.String({ maxLength: 100 })),
    }),
    status: 200,
    response: List(JobSummary),
  },
  getJob: {
    method: 'GET',
    path: '/jobs/{job_id}',
    tag: 'jobs',
    summary: 'One job with its steps and outputs',
    params: JobParams,
    status: 200,
    response: JobResource,
  },
  cancelJob: {
    method: 'POST',
    path: '/jobs/{job_id}/cancel',
    tag: 'jobs',
    summary: 'Cancel a job',
    params: JobParams,
    status: 202,
    response: JobResource,
  },
  pauseJob: {
    method: 'POST',
    path: '/jobs/{job_id}/pause',
    tag: 'jobs',
    summary: 'Pause a job: what runs ends, nothing else of it starts',
    params: JobParams,
    status: 202,
    response: JobResource,
  },
  resumeJob: {
    method: 'POST',
    path: '/jobs/{job_id}/resume',
    tag: 'jobs',
    summary: 'Let a paused job go on',
    params: JobParams,
    status: 202,
    response: JobResource,
  },
  retryJob: {
    method: 'POST',
    path: '/jobs/{job_id}/retry',
    tag: 'jobs',
    summary: 'Run the failed, skipped and cancelled steps of an ended job again',
    params: JobParams,
    status: 202,
    response: JobResource,
  },
  replayStep: {
    method: 'POST',
    path: '/jobs/{job_id}/steps/{step}/replay',
    tag: 'jobs',
    summary: 'Run one step of an ended job, and what follows it, again',
    params: Type.Object({ job_id: Type.String({ maxLength: 100 }), step: Type.String({ maxLength: 100 }) }),
    status: 202,
    response: JobResource,
  },
  getOutputContent: {
    method: 'GET',
    path: '/jobs/{job_id}/outputs/{output_id}/content',
    tag: 'jobs',
    summary: 'The bytes of an output; Range is honoured',
    params: OutputParams,
    status: 200,
    responseType: 'application/octet-stream',
  },
  jobEvents: {
    method: 'GET',
    path: '/jobs/{job_id}/events',
    tag: 'events',
    summary: 'Events of one job (SSE), resumable by Last-Event-ID',
    params: JobParams,
    status: 200,
    response: EventResource,
    responseType: 'text/event-stream',
  },
  tenantEvents: {
    method: 'GET',
    path: '/events',
    tag: 'events',
    summary: 'Events of the tenant (SSE), resumable by Last-Event-ID',
    status: 200,
    response: EventResource,
    responseType: 'text/event-stream',
  },
} as const satisfies Record<string, Operation>
