// One row per operation of the HTTP API, in operations/ by what they are about. Routes, their validation, the OpenAPI document,
// the policy table and the typed client all derive from these rows; an operation that is not here does not exist.

import type { Static, TSchema } from 'typebox'
import { identityOperations } from './operations/identity.ts'
import { fileOperations } from './operations/files.ts'
import { uploadOperations } from './operations/uploads.ts'
import { jobOperations } from './operations/jobs.ts'
import { batchOperations } from './operations/batches.ts'
import { controlOperations } from './operations/control.ts'
import { scheduleOperations } from './operations/schedules.ts'
import { pipelineOperations } from './operations/pipelines.ts'
import { installationOperations } from './operations/installation.ts'

export type { Operation } from './operations/operation.ts'

export const operations = {
  ...identityOperations,
  ...fileOperations,
  ...uploadOperations,
  ...jobOperations,
  ...batchOperations,
  ...controlOperations,
  ...scheduleOperations,
  ...pipelineOperations,
  ...installationOperations,
} as const

export type OperationId = keyof typeof operations

type Part<O, Key extends string> = O extends { readonly [K in Key]: infer S extends TSchema } ? Static<S> : undefined
export type ParamsOf<Op extends OperationId> = Part<(typeof operations)[Op], 'params'>
export type QueryOf<Op extends OperationId> = Part<(typeof operations)[Op], 'query'>
export type BodyOf<Op extends OperationId> = Part<(typeof operations)[Op], 'body'>
export type ResponseOf<Op extends OperationId> = Part<(typeof operations)[Op], 'response'>

export const apiPrefix = '/api/v1'
