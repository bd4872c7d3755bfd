import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commands } from './commands.ts'
import { isGroup, type Command, type CommandGroup } from './command.ts'
import { sendJson, startFakeServer, type FakeServer } from './testing/fake-server.ts'
import { openShell, type Shell } from './testing/run-command.ts'

let server: FakeServer
let shell: Shell
beforeAll(async () => {
  server = await startFakeServer()
  shell = await openShell(server.url)
})
afterAll(async () => {
  await server.close()
  await shell.close()
})

const names = Object.entries<Command | CommandGroup>(commands).flatMap(([name, command]) =>
  isGroup(command) ? [[name], ...Object.keys(command.subcommands).map((sub) => [name, sub])] : [[name]],
)

describe('the command line', () => {
  it.each(names)('explains %s %s', async (...words) => {
    const { exitCode, out } = await shell.run(...words.filter(Boolean), '--help')
    expect(exitCode).toBe(0)
    expect(out.length).toBeGreaterThan(50)
  })

  it('says its version', async () => {
    expect(await shell.run('--version')).toMatchObject({ exitCode: 0, out: '1.2.3\n' })
  })

  it.each([
    [['nonsense'], 'There is no command "nonsense".'],
    [['toString'], 'There is no command "toString".'],
    [['jobs', 'nonsense'], 'It takes list, show, run, download, zip,'],
    [['jobs', 'show'], 'millrace jobs show needs JOB.'],
    [['jobs', 'show', 'a', 'b'], 'does not take "b"'],
    [['process', 'x', '--pipelin', 'y'], "Unknown option '--pipelin'"],
    [['process', 'x', '--out'], "Option '--out <value>' argument missing"],
    [['process', 'missing.txt'], 'There is no file missing.txt.'],
    [['process', 'x', '--metadata', '[1]'], '--metadata is not a JSON object.'],
    [['process', 'x', '--priority', 'high'], 'Give one of interactive, normal, bulk.'],
    [['process', 'x', '--parallel', '0'], 'Give a whole number from 1 to 64.'],
    [['watch'], 'needs jobs or --all'],
    [['--json', 'jobs'], 'comes before the command'],
  ])('refuses %j with 2 and says why', async (words, message) => {
    const { exitCode, out, err } = await shell.run(...words)
    expect(exitCode).toBe(2)
    expect(out).toBe('')
    expect(err).toContain(message)
    expect(err).not.toMatch(/\n\s+at /)
  })

  it('takes the server and key of a local start, but sends that key to no other server', async () => {
    await mkdir(path.join(shell.folder, 'data'))
    const credentials = { url: server.url, api_key: 'local-key' }
    await writeFile(path.join(shell.folder, 'data/credentials.json'), JSON.stringify(credentials))
    server.before = ({ path }, response) => path === '/api/v1/me' && sendJson(response, { role: 'admin' })
    shell.world = { environment: {} }
    expect(await shell.run('whoami', '--json')).toMatchObject({ exitCode: 0 })
    expect(server.requests.at(-1)?.headers.authorization).toBe('Bearer local-key')
    const elsewhere = await shell.run('whoami', '--url', 'http://127.0.0.1:1')
    expect(elsewhere.exitCode).toBe(2)
    expect(elsewhere.err).toContain('There is no API key for http://127.0.0.1:1')
    shell.world = {}
    server.before = undefined
  })

  it('tells failures to programs as JSON', async () => {
    const { exitCode, err } = await shell.run('jobs', 'show', 'job_unknown', '--json')
    expect(exitCode).toBe(1)
    expect(JSON.parse(err)).toMatchObject({ problem: { code: 'not_found', request_id: 'req_1' } })
  })

  it('exits with 1 when the doctor finds the installation unhealthy', async () => {
    const jobs = { inputs: 3, done: 1, failed: 1, quarantined: 0, cancelled: 0, in_flight: 0 }
    const findings = [{ severity: 'error', code: 'job_lost', detail: '1 job is lost', remedy: 'Find it.' }]
    const did = { conditional_put: true, range: true, list_order: false, large_objects: true }
    const may = { small_parts: null, checksums: false, versioning: 'on' }
    const stores = [{ name: 'one', ...did, ...may, put_ms: 1.26, get_ms: 0.51 }]
    server.before = (_, response) =>
      sendJson(response, { healthy: false, jobs, parts: { database: 'PGlite' }, stores, findings })
    const { exitCode, out } = await shell.run('doctor')
    server.before = undefined
    expect(exitCode).toBe(1)
    expect(out).toContain('3 inputs ≠ 1 done + 1 failed')
    expect(out).toContain('Find it.')
    expect(out).toContain(
      'one does: conditional put yes, ranges yes, list order no, large objects yes, checksums no, versioning on, put 1.3 ms, get 0.5 ms',
    )
  })

  it('names the line of a faulty pipeline as compilers do', async () => {
    await writeFile(path.join(shell.folder, 'p.yaml'), 'name: x')
    const errors = [{ path: '/steps/a/uses', line: 4, column: 9, message: 'There is no such processor.' }]
    server.before = (_, response) => sendJson(response, { valid: false, errors })
    const { exitCode, out } = await shell.run('pipelines', 'validate', 'p.yaml')
    server.before = undefined
    expect(exitCode).toBe(1)
    expect(out).toBe('p.yaml:4:9: There is no such processor. (/steps/a/uses)\n')
  })
})
