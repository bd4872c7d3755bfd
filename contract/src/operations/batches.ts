// Batches and their items.

import { Type } from 'typebox'
import {
  BatchChange,
  BatchItemResource,
  BatchOrder,
  BatchPlan,
  BatchRedrive,
  BatchResource,
} from '../resources/batch.ts'
import { batchItemStates, batchReportFormats, batchStates } from '../states.ts'
import { List, page, type Operation } from './operation.ts'

const BatchParams = Type.Object({ batch_id: Type.String({ maxLength: 100 }) })

export const batchOperations = {
  createBatch: {
    method: 'POST',
    path: '/batches',
    tag: 'batches',
    summary: 'Run a pipeline over many files: those that a query finds, or those that a manifest lists',
    body: BatchOrder,
    status: 202,
    response: Type.Object({ ...BatchResource.properties, plan: BatchPlan }),
  },
  listBatches: {
    method: 'GET',
    path: '/batches',
    tag: 'batches',
    summary: 'Batches of the tenant, newest first',
    query: Type.Object({
      ...page,
      status: Type.Optional(Type.Enum([...batchStates])),
      schedule_id: Type.Optional(Type.String({ maxLength: 100 })),
    }),
    status: 200,
    response: List(BatchResource),
  },
  getBatch: {
    method: 'GET',
    path: '/batches/{batch_id}',
    tag: 'batches',
    summary: 'One batch with its counts',
    params: BatchParams,
    status: 200,
    response: BatchResource,
  },
  updateBatch: {
    method: 'PATCH',
    path: '/batches/{batch_id}',
    tag: 'batches',
    summary: 'Pause or resume a batch, or change its concurrency and what failures it tolerates, while it runs',
    params: BatchParams,
    body: BatchChange,
    status: 200,
    response: BatchResource,
  },
  cancelBatch: {
    method: 'POST',
    path: '/batches/{batch_id}/cancel',
    tag: 'batches',
    summary: 'Cancel a batch and its live jobs',
    params: BatchParams,
    status: 202,
    response: BatchResource,
  },
  redriveBatch: {
    method: 'POST',
    path: '/batches/{batch_id}/redrive',
    tag: 'batches',
    summary: 'Run what failed of an ended batch again, and what was cancelled where that is asked for',
    params: BatchParams,
    body: BatchRedrive,
    status: 202,
    response: BatchResource,
  },
  listBatchItems: {
    method: 'GET',
    path: '/batches/{batch_id}/items',
    tag: 'batches',
    summary: 'Items of a batch in their order',
    params: BatchParams,
    query: Type.Object({ ...page, state: Type.Optional(Type.Enum([...batchItemStates])) }),
    status: 200,
    response: List(BatchItemResource),
  },
  getBatchReport: {
    method: 'GET',
    path: '/batches/{batch_id}/report',
    tag: 'batches',
    summary: 'What became of each item, as CSV or Parquet',
    params: BatchParams,
    query: Type.Object({
      state: Type.Optional(Type.Enum([...batchItemStates])),
      format: Type.Optional(Type.Enum([...batchReportFormats], { description: 'csv when left out.' })),
    }),
    status: 200,
    responseType: 'application/octet-stream',
  },
} as const satisfies Record<string, Operation>
