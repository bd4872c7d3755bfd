// How failures leave the server: application/problem+json (RFC 9457) for every one, whoever threw it.

import { problems, type ProblemCode } from '@millrace/contract'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import type { Log } from '../platform/log.ts'
import { Problem, toProblemDocument } from '../platform/problem.ts'

export const problemContentType = 'application/problem+json; charset=utf-8'

/** Statuses of fastify's own refusals, and what each means here. */
const codeOfStatus: Record<number, ProblemCode> = {
  400: 'invalid_request',
  404: 'not_found',
  405: 'method_not_allowed',
  413: 'request_too_large',
  414: 'invalid_request',
  415: 'unsupported_media_type',
  503: 'overloaded',
}

const detailOfFrameworkCode: Record<string, string> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'The body is not valid JSON.',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'The body is empty.',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'The body has another length than Content-Length says.',
  FST_ERR_CTP_BODY_TOO_LARGE: 'The body is larger than this operation takes.',
  FST_ERR_BAD_URL: 'The path is not a valid URL.',
}

/** Any thrown value as a Problem; what nobody expected is 'internal', with the original as its cause. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number') {
    const code = codeOfStatus[error.statusCode]
    const name = 'code' in error && typeof error.code === 'string' ? error.code : ''
    // Only what the framework itself refused is the client's fault; a library's error may carry a statusCode too.
    const refused = name.startsWith('FST_') || error instanceof SyntaxError
    const detail =
      detailOfFrameworkCode[name] ?? (error instanceof SyntaxError ? 'The body is not valid JSON.' : undefined)
    if (code !== undefined && refused) return new Problem(code, { ...(detail && { detail }), cause: error })
  }
  return new Problem('internal', { cause: error })
}

const retryAfterSecondsDefault = 1

/** Answers a request with the problem, and logs it once when the fault is ours. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Log): void {
  const problem = toProblem(error)
  const { status } = problems[problem.code]
  if (status >= 500) {
    log[problem.code === 'internal' ? 'error' : 'warn']('http.failed', {
      requestId: request.id,
      method: request.method,
      route: request.routeOptions.url ?? null,
      code: problem.code,
      error: problem.cause ?? problem,
    })
  }
  if (status === 401) reply.header('www-authenticate', 'Bearer realm="millrace"')
  const isBusy = status === 429 || status === 503
  const retryAfterSeconds = problem.retryAfterSeconds ?? (isBusy ? retryAfterSecondsDefault : undefined)
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfterSeconds))))
  // A handler may have begun to describe another body.
  for (const name of ['content-length', 'content-range', 'content-disposition', 'content-encoding', 'etag']) {
    reply.removeHeader(name)
  }
  reply
    .code(status)
    .headers(problem.headers ?? {})
    .header('content-type', problemContentType)
    .header('cache-control', 'no-store')
    .send(JSON.stringify(toProblemDocument(problem, request.id)))
}

export const hasUnreadBody = (request: FastifyRequest): boolean =>
  !request.raw.complete &&
  (request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0)

/** Answers what is not even HTTP; there is no request to answer to. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const detail =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'The header fields are too large.'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'The header fields took too long to arrive.'
        : 'This is not a valid HTTP request.'
  const body = JSON.stringify(toProblemDocument({ code: 'invalid_request', detail }))
  socket.end(
    `HTTP/1.1 400 Bad Request\r\ncontent-type: ${problemContentType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}
