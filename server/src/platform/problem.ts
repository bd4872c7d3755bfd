// Expected failures are Problems with a code of the contract; everything else that is thrown is a bug of ours.

import { problems, type ProblemCode, type ProblemDocument } from '@millrace/contract'

export interface ProblemOptions {
  /** What happened this time, in words for the reader; no secrets, no stack, no foreign data. */
  detail?: string
  cause?: unknown
  errors?: ProblemDocument['errors']
  /** For Retry-After. */
  retryAfterSeconds?: number
  /** Fields that the answer carries besides, where a protocol asks for them. */
  headers?: Readonly<Record<string, string>>
}

export class Problem extends Error {
  readonly code: ProblemCode
  readonly detail: string | undefined
  readonly errors: ProblemDocument['errors']
  readonly retryAfterSeconds: number | undefined
  readonly headers: Readonly<Record<string, string>> | undefined
  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    super(options.detail ?? problems[code].title, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'Problem'
    this.code = code
    this.detail = options.detail
    this.errors = options.errors
    this.retryAfterSeconds = options.retryAfterSeconds
    this.headers = options.headers
  }
}

/** The problem as an RFC 9457 document. */
export function toProblemDocument(
  problem: { code: ProblemCode; detail?: string | undefined; errors?: ProblemDocument['errors'] },
  requestId?: string,
): ProblemDocument {
  const { status, title, remedy } = problems[problem.code]
  return {
    type: `/docs/problems#${problem.code}`,
    title,
    status,
    code: problem.code,
    ...(problem.detail === undefined ? {} : { detail: problem.detail }),
    remedy,
    ...(requestId === undefined ? {} : { request_id: requestId }),
    ...(problem.errors === undefined ? {} : { errors: problem.errors }),
  }
}

/** A stored problem, {code, detail}, as a document; a code that is no longer known tells as internal. */
export function toStoredProblem(stored: unknown): ProblemDocument | null {
  if (typeof stored !== 'object' || stored === null || !('code' in stored)) return null
  const known = typeof stored.code === 'string' && Object.hasOwn(problems, stored.code)
  // Object.hasOwn has just found it in the table.
  const code = known ? (stored.code as ProblemCode) : 'internal'
  const detail = 'detail' in stored && typeof stored.detail === 'string' ? stored.detail : undefined
  return toProblemDocument({ code, detail })
}

/** States what our own code guarantees; a failure is a bug, never the world's fault. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Invariant broken: ${message}`)
}
