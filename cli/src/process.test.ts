import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readForm, sendProblem, startFakeServer, type FakeServer } from './testing/fake-server.ts'
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

const put = (name: string, content: string | Buffer) => writeFile(path.join(shell.folder, name), content)
const read = (...names: string[]) => readFile(path.join(shell.folder, ...names), 'utf8')
const uploads = () => server.requests.filter(({ method, path }) => method === 'POST' && path === '/api/v1/files')

describe('millrace process', () => {
  it('uploads files, waits for their jobs, downloads the outputs and prints a summary', async () => {
    await put('a.txt', 'alpha')
    server.jobs['a.txt'] = { outputs: [{ name: 'result.csv', content: 'x,y' }] }
    const { exitCode, out, err } = await shell.run('process', 'a.txt', '--out', 'out', '--metadata', '{"k":1}')
    expect(exitCode).toBe(0)
    expect(await read('out', 'a.txt', 'result.csv')).toBe('x,y')
    expect(out).toMatch(/FILE +STATUS +SECONDS +OUTPUTS +PROBLEM\na\.txt +completed +[\d.]+ +1\n/)
    expect(err).toContain('a.txt: read succeeded in 0.30 s')
    expect(out + err).not.toContain('\u001b')
    const [upload] = uploads()
    const form = readForm(upload?.headers['content-type'] ?? '', upload?.body ?? Buffer.alloc(0))
    expect(form.content.toString()).toBe('alpha')
    expect(form.fields).toContain('{"k":1}')
    expect(upload?.headers.authorization).toBe('Bearer key')
  })

  it('exits with 1 and tells problem, remedy and request when a file failed; the others are done', async () => {
    await put('good.txt', 'x')
    await put('bad.txt', 'y')
    server.jobs['bad.txt'] = { status: 'failed', problem: 'file_unreadable' }
    const { exitCode, out } = await shell.run('process', 'good.txt', 'bad.txt')
    expect(exitCode).toBe(1)
    expect(out).toContain('1 file done, 1 failed')
    expect(out).toContain('The file is damaged or not of the type it claims to be.')
    expect(out).toContain('Open the file on your machine, save it anew and upload that.')
    expect(out).toContain('req_9')
  })

  it('walks folders, passes over links and hidden files, and lays outputs out as the files lie', async () => {
    await mkdir(path.join(shell.folder, 'in/sub'), { recursive: true })
    await put('in/one.txt', '1')
    await put('in/sub/one.txt', '2')
    await put('in/.hidden', 'h')
    await symlink('/etc/hosts', path.join(shell.folder, 'in/link'))
    server.jobs['one.txt'] = { outputs: [{ name: 'o', content: 'o' }] }
    const { exitCode, err } = await shell.run('process', 'in', '--out', 'out')
    expect(exitCode).toBe(0)
    expect(err).toContain('2 hidden entries and links passed over')
    expect(uploads()).toHaveLength(2)
    expect(await read('out', 'in', 'one.txt', 'o')).toBe('o')
    expect(await read('out', 'in', 'sub', 'one.txt', 'o')).toBe('o')
  })

  it('follows, counts and downloads what came out of an archive', async () => {
    await put('all.zip', 'PK')
    server.jobs['all.zip'] = { members: ['docs/a.txt', 'b.txt'] }
    server.jobs['docs/a.txt'] = { outputs: [{ name: 'text.txt', content: 'A' }] }
    server.jobs['b.txt'] = { status: 'failed', problem: 'file_encrypted' }
    const { exitCode, out } = await shell.run('process', 'all.zip', '--out', 'out', '--json')
    expect(exitCode).toBe(1)
    const document = JSON.parse(out) as { done: number; failed: number; files: { file: string; status: string }[] }
    expect(document).toMatchObject({ done: 2, failed: 1 })
    expect(document.files.map(({ file, status }) => [file, status])).toEqual([
      ['all.zip', 'completed'],
      ['all.zip/docs/a.txt', 'completed'],
      ['all.zip/b.txt', 'failed'],
    ])
    expect(await read('out', 'all.zip', 'docs', 'a.txt', 'text.txt')).toBe('A')
  })

  it('keeps hostile output names inside the folder, and apart from each other', async () => {
    await put('a.txt', 'x')
    const names = ['../../evil', '/etc/passwd', 'CON', 'x', 'X', '..', 'a\u0000b']
    server.jobs['a.txt'] = { outputs: names.map((name) => ({ name, content: name })) }
    const { exitCode } = await shell.run('process', 'a.txt', '--out', 'out')
    expect(exitCode).toBe(0)
    expect((await readdir(path.join(shell.folder, 'out', 'a.txt'))).toSorted()).toEqual(
      ['X (2)', '_', '_CON', '__.._evil', '_etc_passwd', 'a_b', 'x'].toSorted(),
    )
    expect((await readdir(shell.folder)).toSorted()).toEqual(['a.txt', 'out'])
  })

  it('does not keep an output whose bytes do not have the promised checksum', async () => {
    await put('a.txt', 'x')
    server.jobs['a.txt'] = { outputs: [{ name: 'o', content: 'changed', sha256: 'f'.repeat(64) }] }
    const { exitCode, out } = await shell.run('process', 'a.txt', '--out', 'out')
    expect(exitCode).toBe(1)
    expect(out).toContain('do not have the checksum')
    expect(await readdir(path.join(shell.folder, 'out', 'a.txt'))).toEqual([])
  })

  it('sends a file again with the same key when the server is busy or the line breaks', async () => {
    await put('a.txt', 'x')
    let tries = 0
    server.before = ({ method }, response) => {
      if (method !== 'POST') return false
      tries++
      if (tries === 1) return sendProblem(response, 'overloaded', { 'retry-after': '1' })
      if (tries === 2) {
        response.destroy()
        return true
      }
      return false
    }
    const { exitCode } = await shell.run('process', 'a.txt')
    expect(exitCode).toBe(0)
    expect(uploads()).toHaveLength(3)
    expect(new Set(uploads().map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
  })

  it('tells a refused upload as the problem of that file', async () => {
    await put('empty.txt', '')
    server.before = ({ method }, response) => method === 'POST' && sendProblem(response, 'file_empty')
    const { exitCode, out } = await shell.run('process', 'empty.txt')
    expect(exitCode).toBe(1)
    expect(out).toContain('not processed')
    expect(out).toContain('The file is empty.')
  })

  it('finds the end of jobs without the stream of events', async () => {
    await put('a.txt', 'x')
    server.events = false
    server.jobs['a.txt'] = { looksCount: 4 }
    expect(await shell.run('process', 'a.txt')).toMatchObject({ exitCode: 0 })
  })

  it('ends at once with 3 when nothing listens there', async () => {
    await put('a.txt', 'x')
    await server.close()
    const { exitCode, err } = await shell.run('process', 'a.txt')
    expect(exitCode).toBe(3)
    expect(err).toContain('cannot be reached')
    expect(err).toContain('npm start')
  })

  it('ends with the first refusal of the key instead of trying it on every file', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) await put(name, 'x')
    server.before = ({ method }, response) => method === 'POST' && sendProblem(response, 'forbidden')
    const { exitCode, err } = await shell.run('process', 'a', 'b', 'c', 'd', 'e', 'f', '--parallel', '1')
    expect(exitCode).toBe(1)
    expect(err).toContain('Your role does not allow this.')
    expect(uploads()).toHaveLength(1)
  })

  it('stops at Ctrl-C and names the jobs that go on', async () => {
    await put('slow.txt', 'x')
    const interrupt = new AbortController()
    server.jobs['slow.txt'] = { looksCount: 1_000 }
    server.before = ({ path }) => {
      if (path === '/api/v1/jobs/job_1') interrupt.abort()
      return false
    }
    shell.world = { signal: interrupt.signal }
    const { exitCode, err } = await shell.run('process', 'slow.txt')
    expect(exitCode).toBe(130)
    expect(err).toContain('job_1  slow.txt')
    expect(err).toContain('millrace watch')
  })
})
