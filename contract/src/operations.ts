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

const groups = [
  identityOperations,
  fileOperations,
  uploadOperations,
  jobOperations,
  batchOperations,
  controlOperations,
  scheduleOperations,
  pipelineOperations,
  installationOperations,
] as const

type Groups = readonly object[]
/** Ids that stand in more than one group, where the last would take the place of the others. */
type Twice<All extends Groups, Seen extends PropertyKey = never> = All extends readonly [
  infer First,
  ...infer Rest extends Groups,
]
  ? (keyof First & Seen) | Twice<Rest, Seen | keyof First>
  : never
/** Does not compile where an id stands twice: the error names it. */
type Merged<All extends Groups, Double extends never> = All extends readonly [infer First, ...infer Rest extends Groups]
  ? First & Merged<Rest, Double>
  : unknown

// As no id stands twice, each of the result is that of its group.
export const operations = Object.assign({}, ...groups) as Merged<typeof groups, Twice<typeof groups>>

export type OperationId = keyof typeof operations

type Part<O, Key extends string> = O extends { readonly [K in Key]: infer S extends TSchema } ? Static<S> : undefined
export type ParamsOf<Op extends OperationId> = Part<(typeof operations)[Op], 'params'>
export type QueryOf<Op extends OperationId> = Part<(typeof operations)[Op], 'query'>
export type BodyOf<Op extends OperationId> = Part<(typeof operations)[Op], 'body'>
export type ResponseOf<Op extends OperationId> = Part<(typeof operations)[Op], 'response'>

export const apiPrefix = '/api/v1'
