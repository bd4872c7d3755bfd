// What the commands ask of the server, one line each, and that whatever the API can do can be asked for from a terminal.

import { mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { operations, type OperationId } from '@millrace/contract'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sendJson, sendProblem, startFakeServer, type FakeServer } from './testing/fake-server.ts'
import { openShell, type Shell } from './testing/run-command.ts'

let server: FakeServer
let shell: Shell
beforeEach(async () => {
  server = await startFakeServer()
  shell = await openShell(server.url)
})
afterEach(async () => {
  await server.close()
  await shell.close()
})

const at = '2026-11-25T12:00:00.000Z'
const file = {
  file_id: 'file_1',
  name: 'letter.pdf',
  size_bytes: 4,
  sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  content_type: 'application/pdf',
  state: 'available',
  metadata: {},
  version: 2,
  created_at: at,
}
const job = {
  job_id: 'job_1',
  file_name: 'letter.pdf',
  status: 'completed',
  progress: 100,
  pipeline: 'document',
  pipeline_version: 1,
  priority: 'normal',
  metadata: { processing_time: 1, file_size_mb: 1, records_processed: null },
  steps: [],
  outputs: [
    { output_id: 'out_1', name: 'a.txt', size_bytes: 4, content_type: 'text/plain', uri: 's3://results/job_1/a.txt' },
    { output_id: 'out_2', name: 'twice', size_bytes: 4, content_type: 'text/plain', uri: 's3://results/job_1/twice' },
    { output_id: 'out_3', name: 'twice', size_bytes: 4, content_type: 'text/plain', uri: 's3://results/job_1/twice' },
  ].map((output) => ({
    ...output,
    sha256: file.sha256,
    download_url: `/api/v1/jobs/job_1/outputs/${output.output_id}/content`,
  })),
}
const link = {
  link_id: 'link_1',
  file_id: 'file_1',
  file_version: 2,
  output_id: null,
  single_use: true,
  uses_count: 0,
  created_by: 'user_1',
  expires_at: at,
}
const upload = {
  upload_id: 'upload_1',
  kind: 'import',
  name: 'a',
  state: 'receiving',
  received_bytes: 1,
  size_bytes: 2,
}
const sealed = {
  ...upload,
  state: 'sealed',
  ended_at: at,
  problem: null,
  source: 'https://x/a',
  result: { job_id: 'job_1', file_id: 'file_1' },
}
const source = {
  import_source_id: 'source_1',
  name: 's',
  state: 'active',
  place: 's3://b',
  found_count: 1,
  skipped_count: 0,
  next_run_at: at,
  problem: null,
}
const control = {
  control_task_id: 'ctrl_1',
  kind: 'cancel_jobs',
  status: 'running',
  matched: 2,
  done: 1,
  skipped: 0,
  progress: 50,
}
const items = { total: 1, pending: 0, running: 0, succeeded: 1, failed: 0, cancelled: 0 }
const batch = { batch_id: 'batch_1', name: 'b', status: 'running', progress: 1, planned: true, items, problem: null }
const schedule = { schedule_id: 'sched_1', name: 's', state: 'active', next_run_at: null }
const edge = {
  from: 'ver_1',
  to: 'out_1',
  kind: 'output',
  made_by: { job_id: 'job_1', step: 's', processor: 'p', processor_version: 3 },
}
const poolShare = { pool: 0, starts_per_second: null, paused: true }
const tenantShare = { tenant_id: 'tenant_1', weight: 3, running_max: 9, starts_per_second: null, paused: false }
const queue = {
  pool: 1,
  slots: 4,
  slots_wanted: 2,
  backlog_tasks: 9,
  oldest_wait_seconds: 1,
  drain_seconds: 2,
  tenants: [],
}
const worker = {
  worker_id: 'worker_1',
  host: 'h',
  sandbox: 's',
  slots: 4,
  busy: 1,
  cpu_share: 0.5,
  memory_bytes: 9,
  started_at: at,
}
const list = (...items: unknown[]) => ({ items, next_cursor: null })

const usage = {
  files_count: 12,
  reserved_files: 1,
  files_count_max: 100,
  files_left: 87,
  stored_bytes: 1_000_000,
  reserved_bytes: 0,
  stored_bytes_max: 5_000_000,
  bytes_left: 4_000_000,
  file_size_bytes_max: 5_000_000,
}

/** Words, what is asked, and what the answer to it is told as. Answers that are a string are bytes. */
const rows: [string, string, unknown, string][] = [
  ['usage', 'GET /usage', usage, '12 of 100 files, 1 reserved, 87 left'],
  ['usage', 'GET /usage', usage, '1.0 MB of 5.0 MB, 0 B reserved, 4.0 MB left'],
  ['files list --parent file_9', 'GET /files?parent_file_id=file_9&limit=50', list(file), 'letter.pdf'],
  ['files list --trash', 'GET /files?trash=true&limit=50', list(file), 'letter.pdf'],
  ['files update file_1 --name b.pdf', 'PATCH /files/file_1 {"name":"b.pdf"}', file, 'file_1'],
  ['files update file_1 --metadata {"a":1}', 'PATCH /files/file_1 {"metadata":{"a":1}}', file, 'file_1'],
  ['files versions file_1', 'GET /files/file_1/versions?limit=50', list(file), file.sha256],
  ['files lineage file_1', 'GET /files/file_1/lineage', { edges: [edge], truncated: false }, 's (p v3)'],
  ['files delete file_1', 'DELETE /files/file_1', null, 'restore file_1 takes it back'],
  ['files restore file_1', 'POST /files/file_1/restore', file, 'letter.pdf'],
  ['files erase file_1 --yes --members', 'DELETE /files/file_1?permanent=true&members=true', null, 'erased'],
  ['files download file_1', 'GET /files/file_1/content?version=2', 'test', 'letter.pdf'],
  ['files download file_1 --version 1 --out old', 'GET /files/file_1/content?version=1', 'old', 'old'],
  ['files zip file_1 file_2', 'POST /files/zip {"file_ids":["file_1","file_2"]}', 'PK', 'files.zip'],
  ['links', 'GET /links?limit=50', list(link), 'file_1 v2'],
  [
    'links create file_1 --expires 2h --once',
    'POST /files/file_1/links {"expires_in":7200,"single_use":true}',
    { ...link, url: '../../links/t/content' },
    '/api/v1/links/t/content',
  ],
  ['links create file_1 --version 1', 'POST /files/file_1/links {"version":1}', { ...link, url: '../../l' }, '/v1/l'],
  [
    'links create job_1 a.txt',
    'POST /jobs/job_1/outputs/out_1/links {}',
    { ...link, url: '../../../../links/t/content' },
    '/api/v1/links/t/content',
  ],
  ['links revoke link_1', 'DELETE /links/link_1', null, 'revoked'],
  [
    'uploads --state receiving --kind tus',
    'GET /uploads?state=receiving&kind=tus&limit=50',
    list(sealed),
    '1 B of 2 B',
  ],
  ['uploads show upload_1', 'GET /uploads/upload_1', sealed, 'job_1  file_1'],
  ['uploads abort upload_1', 'DELETE /uploads/upload_1', null, 'aborted'],
  [
    'import https://x/a --no-wait --name n --header A:b',
    'POST /imports {"url":"https://x/a","name":"n","headers":{"A":"b"}}',
    sealed,
    'job_1',
  ],
  ['import-sources', 'GET /import-sources?limit=50', list(source), 's3://b'],
  [
    'import-sources create n s3://b/p/q --every 5m --region r',
    'POST /import-sources {"name":"n","interval_seconds":300,"s3":{"bucket":"b","access_key_id":"K","secret_access_key":"S","prefix":"p/q","region":"r"}}',
    source,
    'source_1',
  ],
  [
    'import-sources create n s3://b --inventory s3://i/daily/manifest.json',
    'POST /import-sources {"name":"n","s3":{"bucket":"b","access_key_id":"K","secret_access_key":"S","inventory":"daily/manifest.json","inventory_bucket":"i"}}',
    source,
    'source_1',
  ],
  [
    'import-sources create n sftp://me@h:22022/in --host-key SHA256:x',
    'POST /import-sources {"name":"n","sftp":{"host":"h","host_key":"SHA256:x","user":"me","port":22022,"folder":"/in","password":"P"}}',
    source,
    'source_1',
  ],
  [
    'import-sources create n /in --metadata {"a":1}',
    'POST /import-sources {"name":"n","metadata":{"a":1},"folder":"/in"}',
    source,
    'source_1',
  ],
  ['import-sources show source_1', 'GET /import-sources/source_1', source, '1 found'],
  ['import-sources pause source_1', 'PATCH /import-sources/source_1 {"state":"paused"}', source, 'source_1'],
  [
    'import-sources resume source_1 --every 1d',
    'PATCH /import-sources/source_1 {"state":"active","interval_seconds":86400}',
    source,
    'source_1',
  ],
  ['import-sources delete source_1', 'DELETE /import-sources/source_1', null, 'deleted'],
  [
    'jobs run file_1 --pipeline table@2 --priority bulk',
    'POST /jobs {"file_id":"file_1","pipeline":"table@2","priority":"bulk"}',
    { job_id: 'job_2', file_id: 'file_1', name: 'n' },
    'job_2',
  ],
  ['jobs pause job_1', 'POST /jobs/job_1/pause', job, 'job_1'],
  ['jobs resume job_1', 'POST /jobs/job_1/resume', job, 'job_1'],
  ['jobs replay job_1 report', 'POST /jobs/job_1/steps/report/replay', job, 'job_1'],
  ['jobs download job_1 a.txt --out got', 'GET /jobs/job_1/outputs/out_1/content', 'test', 'a.txt'],
  ['jobs zip job_1', 'GET /jobs/job_1/zip', 'PK', 'job_1.zip'],
  [
    'jobs cancel-all --yes --file x --status queued',
    'POST /jobs/cancel {"status":"queued","file_name":"x"}',
    control,
    '2 matched',
  ],
  ['control-tasks', 'GET /control-tasks?limit=50', list(control), 'cancel jobs'],
  ['control-tasks show ctrl_1', 'GET /control-tasks/ctrl_1', control, '50 %'],
  ['control-tasks cancel ctrl_1', 'POST /control-tasks/ctrl_1/cancel', control, 'ctrl_1'],
  ['dead-letters replay --code timeout', 'POST /dead-letters/replay {"code":"timeout"}', control, 'ctrl_1'],
  [
    'batch items batch_1 --state failed',
    'GET /batches/batch_1/items?state=failed&limit=50',
    list({
      ordinal: 7,
      state: 'failed',
      file_id: null,
      file_name: null,
      reference: 'x.csv',
      job_id: null,
      problem: null,
    }),
    'x.csv',
  ],
  [
    'batch change batch_1 --concurrency 5 --tolerate 2.5',
    'PATCH /batches/batch_1 {"concurrency":5,"tolerated_failure_percent":2.5}',
    batch,
    'batch_1',
  ],
  [
    'batch redrive batch_1 --cancelled --tolerate any',
    'POST /batches/batch_1/redrive {"cancelled":true,"tolerated_failure_percent":null}',
    batch,
    'batch_1',
  ],
  [
    'batch create --manifest-file file_1 --format jsonl',
    'POST /batches {"manifest":{"format":"jsonl","file_id":"file_1"}}',
    { ...batch, plan: { items: 1, bad_lines: 0, errors: [] } },
    'batch_1',
  ],
  [
    'schedules create n @daily --import source_1',
    'POST /schedules {"name":"n","cron":"@daily","import_source_id":"source_1","overlap":false}',
    schedule,
    'sched_1',
  ],
  ['batch report batch_1', 'GET /batches/batch_1/report?format=csv', 'a,b', 'batch_1-report.csv'],
  ['schedules show sched_1', 'GET /schedules/sched_1', schedule, 'never'],
  ['schedules change sched_1 --zone UTC', 'PATCH /schedules/sched_1 {"time_zone":"UTC"}', schedule, 'sched_1'],
  ['admin', 'GET /admin/metrics', { users: { total_users: 3 } }, 'users  total users  3'],
  ['admin workers', 'GET /admin/workers', list(worker), '1 of 4'],
  ['admin queues', 'GET /admin/queues', list(queue), '2.0 s'],
  ['admin tenant tenant_1', 'GET /admin/tenants/tenant_1/share', tenantShare, 'starts per second  no limit'],
  [
    'admin tenant tenant_1 --weight 3 --running-max 9 --starts-per-second 2.5 --resume',
    'PATCH /admin/tenants/tenant_1/share {"weight":3,"running_max":9,"starts_per_second":2.5,"paused":false}',
    tenantShare,
    'weight  3',
  ],
  ['admin pool 0', 'GET /admin/queues/0/share', poolShare, 'paused  true'],
  [
    'admin pool 0 --pause --starts-per-second none',
    'PATCH /admin/queues/0/share {"starts_per_second":null,"paused":true}',
    poolShare,
    'pool  0',
  ],
  ['admin shred tenant_1 --yes', 'POST /admin/tenants/tenant_1/shred {"confirm":"tenant_1"}', null, 'destroyed'],
]

const asked = () =>
  server.requests.map(({ method, path, body }) => `${method} ${path.replace('/api/v1', '')} ${body.toString()}`.trim())

const secrets = { AWS_ACCESS_KEY_ID: 'K', AWS_SECRET_ACCESS_KEY: 'S', MILLRACE_SFTP_PASSWORD: 'P' }
const environment = () => ({ MILLRACE_URL: server.url, MILLRACE_API_KEY: 'key', ...secrets })

describe('a command', () => {
  it.each(rows)('millrace %s asks %s', async (words, request, answer, told) => {
    server.before = ({ method, path }, response) => {
      const isIt = `${method} ${path.replace('/api/v1', '')}` === request.replace(/ [{].*$/, '')
      if (!isIt) return sendJson(response, path === '/api/v1/jobs/job_1' ? job : file)
      if (answer === null) response.writeHead(204).end()
      else if (typeof answer === 'string') response.writeHead(200).end(answer)
      else sendJson(response, answer)
      return true
    }
    for (const json of [[], ['--json']]) {
      shell.world = { environment: environment(), cwd: await mkdtemp(path.join(shell.folder, 'c-')) }
      const { exitCode, out, err } = await shell.run(...words.split(' '), ...json)
      expect(exitCode, err).toBe(0)
      expect(asked().at(-1)).toBe(request)
      if (json.length > 0) expect(JSON.parse(out)).toEqual(expect.any(Object))
      else expect(out).toContain(told)
    }
  })

  it.each([
    ['files update file_1', 'Give --name or --metadata.'],
    ['files erase file_1', 'Give --yes when you mean it.'],
    ['jobs cancel-all', 'Give --yes when you mean it.'],
    ['admin shred tenant_1', 'Give --yes when you mean it.'],
    ['admin pool 0 --pause --resume', 'Give one of them.'],
    ['admin pool 0 --starts-per-second 0', 'Give a number above 0, or none.'],
    ['links create file_1 --expires 2w', 'Give a number and its unit'],
    ['links create file_1 --expires 0s', 'Give a number and its unit'],
    ['links create job_1 b.txt', 'Name one of a.txt (out_1)'],
    ['links create job_1 twice', 'job_1 has several outputs twice.'],
    ['import-sources create n in', 'the whole path of a folder of the server'],
    ['import-sources create n s3://b', 'Set AWS_ACCESS_KEY_ID'],
    ['import-sources create n sftp://me@h', 'ssh-keygen -lf'],
    ['import-sources create n sftp://h', 'sftp://USER@HOST'],
    ['import https://x --header nonsense', 'Give one such as'],
    ['batch change batch_1', 'Give --concurrency or --tolerate.'],
    ['schedules change sched_1', 'Give --name, --cron, --zone or --missed.'],
  ])('millrace %s is refused with what to do', async (words, remedy) => {
    server.before = ({ path }, response) => sendJson(response, path === '/api/v1/jobs/job_1' ? job : file)
    const { exitCode, err } = await shell.run(...words.split(' '))
    expect(exitCode).toBe(2)
    expect(err).toContain(remedy)
    expect(server.requests.every(({ method }) => method === 'GET')).toBe(true)
  })

  it('asks before it erases, and does nothing on another word', async () => {
    server.before = ({ method }, response) => {
      if (method !== 'DELETE') return sendJson(response, file)
      response.writeHead(204).end()
      return true
    }
    let question = ''
    const answering = (word: string) => ({
      ask: async (text: string) => {
        question = text
        return word
      },
    })
    shell.world = answering('yes')
    expect(await shell.run('files', 'erase', 'file_1')).toMatchObject({ exitCode: 2 })
    expect(question).toBe('letter.pdf will be erased for good. Type erase to go on: ')
    expect(asked().some((request) => request.startsWith('DELETE'))).toBe(false)
    shell.world = answering('erase\n')
    expect(await shell.run('files', 'erase', 'file_1')).toMatchObject({ exitCode: 0 })
    expect(asked().at(-1)).toBe('DELETE /files/file_1?permanent=true')
  })

  it('does not replace a file that nobody named, nor keep half a download', async () => {
    await writeFile(path.join(shell.folder, 'files.zip'), 'mine')
    expect(await shell.run('files', 'zip', 'file_1')).toMatchObject({ exitCode: 2 })
    server.before = (_, response) => sendProblem(response, 'not_found')
    expect(await shell.run('jobs', 'zip', 'job_1')).toMatchObject({ exitCode: 1 })
    expect((await readdir(shell.folder)).toSorted()).toEqual(['files.zip'])
    expect(await readFile(path.join(shell.folder, 'files.zip'), 'utf8')).toBe('mine')
  })

  it('waits for an import, and ends with 1 when it has failed', async () => {
    const problem = { code: 'import_refused', detail: 'The address is not allowed.', remedy: 'Name another.' }
    const answers = [upload, upload, { ...upload, state: 'failed', ended_at: at, problem, source: null, result: null }]
    server.before = (_, response) => sendJson(response, { ended_at: null, ...answers.shift() })
    const { exitCode, out } = await shell.run('import', 'https://x/a')
    expect(exitCode).toBe(1)
    expect(out).toContain('The address is not allowed.')
  })
})

/** Not for a terminal, each with what is there instead. */
const elsewhere: Partial<Record<OperationId, string>> = {
  createSession: 'a browser signs in; a terminal has an API key',
  refreshSession: 'as createSession',
  deleteSession: 'as createSession',
  openLink: 'whoever has the link, without this command',
  jobEvents: 'watch reads the events of the tenant',
  describeUploads: 'upload knows what it speaks',
  overrideUpload: 'for clients that cannot send PATCH',
  createPartsUpload: 'upload sends large files by tus',
  listUploadParts: 'as createPartsUpload',
  putUploadPart: 'as createPartsUpload',
  completeUpload: 'as createPartsUpload',
  getOutputContent: 'by the download_url that the job tells',
}

it('every operation is asked for by a command, or is said not to be for one', async () => {
  const names = (await readdir(import.meta.dirname, { recursive: true })).filter(
    (name) => name.endsWith('.ts') && !name.includes('test'),
  )
  const text = (await Promise.all(names.map((name) => readFile(path.join(import.meta.dirname, name), 'utf8')))).join('')
  const isAsked = (operation: string) => new RegExp(`'${operation}'|operations\\.${operation}\\b`).test(text)
  const missing = Object.keys(operations).filter(
    (operation) => !isAsked(operation) && !Object.hasOwn(elsewhere, operation),
  )
  expect(missing).toEqual([])
  expect(Object.keys(elsewhere).filter(isAsked)).toEqual([])
})
