// How a command ends when it does not end well: the code it exits with, and what it tells the reader.

import { ApiProblem, type ProblemDocument } from '@millrace/contract'

/** What the shell is told. */
export const exitCodes = { done: 0, failed: 1, usage: 2, unreachable: 3, interrupted: 130 } as const
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** What a reader is told of a failure, wherever it came from. */
export type ToldProblem = Pick<ProblemDocument, 'title' | 'remedy'> &
  Partial<Pick<ProblemDocument, 'code' | 'detail' | 'request_id' | 'errors'>>

/** A failure of the command itself: a wrong argument, a server that does not answer, a local file that cannot be read. */
export class Failure extends Error {
  readonly exitCode: ExitCode
  readonly told: ToldProblem
  constructor(exitCode: ExitCode, told: ToldProblem, cause?: unknown) {
    super(told.detail ?? told.title, { cause })
    this.name = 'Failure'
    this.exitCode = exitCode
    this.told = told
  }
}

export const usageFailure = (title: string, remedy: string): Failure => new Failure(exitCodes.usage, { title, remedy })

/** The server did not answer at all, or its answer was cut off. */
export class Unreachable extends Failure {
  constructor(url: string, cause: unknown) {
    super(
      exitCodes.unreachable,
      {
        title: `The server at ${url} cannot be reached.`,
        detail: networkReason(cause),
        remedy: 'Start it with npm start, or name another one by --url or MILLRACE_URL.',
      },
      cause,
    )
    this.name = 'Unreachable'
  }
}

/** Whatever was thrown, in words; never with a stack. */
export function tellFailure(error: unknown): ToldProblem {
  if (error instanceof ApiProblem) return error.problem
  if (error instanceof Failure) return error.told
  return {
    title: 'Something broke in this command.',
    detail: error instanceof Error ? error.message : String(error),
    remedy: 'Try again; if it persists, report it with the command that you typed.',
  }
}

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof Failure ? error.exitCode : exitCodes.failed
}

/** fetch hides why a connection failed in the cause, which may be a list of one error per address. */
function networkReason(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  if (!(inner instanceof Error)) return String(inner)
  const code = 'code' in inner && typeof inner.code === 'string' ? inner.code : undefined
  switch (code) {
    case 'ECONNREFUSED':
      return 'Nothing listens there.'
    case 'ENOTFOUND':
      return 'There is no host of this name.'
    case 'ECONNRESET':
    case 'UND_ERR_SOCKET':
      return 'The connection was cut off.'
    default:
      return inner.message || code || 'The connection failed.'
  }
}
