// The errors of the S3 client as Problems.

import { Problem } from '../platform/problem.ts'

interface S3Failure extends Error {
  Code?: string
  $metadata?: { httpStatusCode?: number }
}

const isS3Failure = (error: unknown): error is S3Failure => error instanceof Error

/** Runs a call to the store; the reason of an aborted signal and Problems pass as they are. */
export async function told<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw problemOf(error, signal)
  }
}

export function problemOf(error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted === true) return signal.reason
  if (error instanceof Problem || !isS3Failure(error)) return error
  const status = error.$metadata?.httpStatusCode
  const code = error.Code ?? error.name
  if (status === 404 || code === 'NoSuchKey' || code === 'NotFound') return new Problem('not_found', { cause: error })
  // 409: two conditional puts at the same moment, of which this one lost.
  if (status === 412 || status === 409) return new Problem('conflict', { detail: 'The object exists', cause: error })
  if (status === 416) return new Problem('range_not_satisfiable', { cause: error })
  if (status === 507 || code === 'QuotaExceeded' || code === 'XMinioStorageFull')
    return new Problem('storage_full', { cause: error })
  return new Problem('storage_unavailable', { detail: `The object store answers ${code}`, cause: error })
}
