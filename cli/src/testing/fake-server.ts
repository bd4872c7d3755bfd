// A server that answers the operations the commands use, out of memory, on loopback. Its jobs end at the second look,
// unless the test says otherwise; every request is kept.

import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { problems, type JobResource, type JobState, type ProblemCode, type ProblemDocument } from '@millrace/contract'

export interface FakeOutput {
  name: string
  content: string
  /** What the server claims, when that is not the truth. */
  sha256?: string
}

export interface FakeJob {
  status?: JobState
  problem?: ProblemCode
  outputs?: FakeOutput[]
  /** Names of the files that come out of it, each a job of its own. */
  members?: string[]
  /** How often it is looked at before it ends. */
  looksCount?: number
}

export interface SeenRequest {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: Buffer
}

export type Handler = (request: SeenRequest, response: ServerResponse) => boolean | Promise<boolean>

export interface FakeServer {
  url: string
  requests: SeenRequest[]
  /** What becomes of the file of this name. */
  jobs: Record<string, FakeJob>
  /** Asked first; answers true when it has answered the request. */
  before: Handler | undefined
  /** Whether the stream of events stands. */
  events: boolean
  close: () => Promise<void>
}

export const sha256 = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex')

export function sendProblem(response: ServerResponse, code: ProblemCode, headers: Record<string, string> = {}): true {
  const { status, title, remedy } = problems[code]
  const body: ProblemDocument = { type: `/problems#${code}`, title, status, code, remedy, request_id: 'req_1' }
  response.writeHead(status, { 'content-type': 'application/problem+json', ...headers }).end(JSON.stringify(body))
  return true
}

export function sendJson(response: ServerResponse, body: unknown, status = 200): true {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  return true
}

interface Kept {
  name: string
  parent: string | null
  looksCount: number
  script: FakeJob
}

export async function startFakeServer(): Promise<FakeServer> {
  const kept = new Map<string, Kept>()
  const byKey = new Map<string, unknown>()
  const watchers = new Set<ServerResponse>()

  function submit(name: string, parent: string | null): string {
    const jobId = `job_${kept.size + 1}`
    kept.set(jobId, { name, parent, looksCount: 0, script: state.jobs[name] ?? {} })
    return jobId
  }

  function upload({ headers, body }: SeenRequest, response: ServerResponse): true {
    const key = String(headers['idempotency-key'])
    const { name, content } = readForm(headers['content-type'] ?? '', body)
    const answer = byKey.get(key) ?? {
      job_id: submit(name, null),
      status: 'queued',
      estimated_completion: new Date(0).toISOString(),
      file_id: `file_${kept.size}`,
      name,
      size_bytes: content.length,
      sha256: sha256(content),
      content_type: 'text/plain',
      pipeline: 'default',
    }
    byKey.set(key, answer)
    return sendJson(response, answer, 202)
  }

  function look(jobId: string, response: ServerResponse): true {
    const job = kept.get(jobId)
    if (!job) return sendProblem(response, 'not_found')
    job.looksCount++
    const resource = toResource(jobId, job)
    if (resource.finished_at !== null && job.script.members) {
      for (const member of job.script.members.splice(0)) submit(member, jobId)
    }
    sendJson(response, resource)
    if (resource.finished_at === null) {
      const event = { type: 'step.ended', at: new Date(0).toISOString(), job_id: jobId, data: { step: 'read' } }
      for (const watcher of watchers) watcher.write(`id: ${job.looksCount}-1\ndata: ${JSON.stringify(event)}\n\n`)
    }
    return true
  }

  function answer(request: SeenRequest, response: ServerResponse): true {
    const url = new URL(request.path, 'http://fake')
    const [, , , resource, id, part, outputId] = url.pathname.split('/')
    if (resource === 'me') return sendJson(response, { role: 'user' })
    if (resource === 'files' && request.method === 'POST') return upload(request, response)
    if (resource === 'jobs' && id !== undefined && part === 'outputs') {
      const content = kept.get(id)?.script.outputs?.[Number(outputId)]?.content
      if (content === undefined) return sendProblem(response, 'not_found')
      response.writeHead(200).end(content)
      return true
    }
    if (resource === 'jobs' && id !== undefined) return look(id, response)
    if (resource === 'jobs') {
      const parent = url.searchParams.get('parent_job_id')
      const items = [...kept].filter(([, job]) => job.parent === parent).map(([jobId, job]) => toResource(jobId, job))
      return sendJson(response, { items, next_cursor: null })
    }
    if (resource === 'events' && state.events) {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n')
      watchers.add(response)
      return true
    }
    return sendProblem(response, resource === 'events' ? 'overloaded' : 'not_found')
  }

  const server = createServer((incoming, response) => {
    void (async () => {
      const body = await buffer(incoming).catch(() => undefined)
      if (body === undefined) return
      const request = { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers, body }
      state.requests.push(request)
      if (!(await state.before?.(request, response))) answer(request, response)
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // It listens on TCP, so its address is an object.
  const { port } = server.address() as AddressInfo
  const state: FakeServer = {
    url: `http://127.0.0.1:${port}`,
    requests: [],
    jobs: {},
    before: undefined,
    events: true,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return state
}

function toResource(jobId: string, { name, parent, looksCount, script }: Kept): JobResource {
  const ended = looksCount >= (script.looksCount ?? 2)
  const status = ended ? (script.status ?? 'completed') : 'running'
  const time = new Date(1_000).toISOString()
  const kind = script.problem && problems[script.problem]
  const problem = ended && kind ? { type: '', code: String(script.problem), ...kind, request_id: 'req_9' } : null
  return {
    job_id: jobId,
    file_id: `file_of_${jobId}`,
    file_name: name,
    pipeline: 'default',
    pipeline_version: 1,
    parent_job_id: parent,
    status,
    progress: ended ? 100 : 10,
    priority: 'normal',
    estimated_completion: null,
    output_files: [],
    outputs: (ended ? (script.outputs ?? []) : []).map((output, index) => ({
      output_id: `out_${index}`,
      name: output.name,
      uri: `s3://results/${jobId}/${output.name}`,
      size_bytes: Buffer.byteLength(output.content),
      sha256: output.sha256 ?? sha256(output.content),
      content_type: 'text/plain',
      download_url: `/api/v1/jobs/${jobId}/outputs/${index}/content`,
      step: 'read',
    })),
    metadata: { processing_time: ended ? 0.5 : null, file_size_mb: 0.1, records_processed: null },
    steps: [
      {
        name: 'read',
        stage: 'analyze',
        processor: 'test.read',
        state: ended ? (problem ? 'failed' : 'succeeded') : 'running',
        needs: [],
        tasks_total: 1,
        tasks_done: ended ? 1 : 0,
        tasks_failed: 0,
        attempts: 1,
        started_at: time,
        finished_at: ended ? new Date(1_300).toISOString() : null,
        result: null,
        problem,
      },
    ],
    problem,
    created_at: time,
    started_at: time,
    finished_at: ended ? new Date(1_500).toISOString() : null,
  }
}

/** Enough of multipart/form-data to read back what the command wrote. */
export function readForm(contentType: string, body: Buffer): { name: string; content: Buffer; fields: string } {
  const boundary = /boundary=(.+)$/.exec(contentType)?.[1] ?? ''
  const head = body.indexOf('filename="')
  const contentAt = body.indexOf('\r\n\r\n', head) + 4
  const content = body.subarray(contentAt, body.lastIndexOf(`\r\n--${boundary}--`))
  const name = body.subarray(head, contentAt).toString().split('"')[1] ?? ''
  return { name, content, fields: body.subarray(0, head).toString() }
}
