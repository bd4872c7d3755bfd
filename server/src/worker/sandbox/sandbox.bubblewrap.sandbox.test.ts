import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openTestSandbox } from '../testing/test-sandbox.ts'
import { describeSandbox } from './sandbox.contract.ts'

if (spawnSync('bwrap', ['--version']).error === undefined) {
  describeSandbox('bubblewrap')

  test('inside bubblewrap programs gain no namespace, capability, mount or socket', async () => {
    await using house = await openTestSandbox('bubblewrap')
    const script = [
      'grep -E "^(Seccomp|NoNewPrivs|CapEff|CapBnd):" /proc/self/status | tr -d "\\t"',
      'unshare --user true || echo no user namespace',
      'mount -t tmpfs none /tmp || echo no mount',
      'chroot / true || echo no chroot',
      'test -e /etc/passwd || echo no passwd',
      'ls /proc | grep -c "^[0-9]"',
      'echo x > /dev/shm/fits && head -c 100000000 /dev/zero > /dev/shm/large || echo no memory files',
    ].join('; ')
    const { end } = await house.run('program', { parameters: { script }, isolation: 'cli' })
    const output = JSON.stringify(end)
    for (const line of ['Seccomp:2', 'NoNewPrivs:1', 'CapEff:0000000000000000', 'CapBnd:0000000000000000'])
      expect(output).toContain(line)
    for (const line of ['no user namespace', 'no mount', 'no chroot', 'no passwd', 'no memory files'])
      expect(output).toContain(line)
  })

  test('a project that lies in /tmp is seen through the empty /tmp of the sandbox', async () => {
    const folder = await mkdtemp('/tmp/millrace-project-')
    const work = "export const run = async () => ({ kind: 'done', outputs: [], result: 'seen' })\n"
    await writeFile(join(folder, 'here.ts'), work)
    await writeFile(join(folder, 'runs.ts'), "export const runs = { here: () => import('./here.ts') }\n")
    await using house = await openTestSandbox('bubblewrap', undefined, join(folder, 'runs.ts'))
    expect((await house.run('here')).end).toMatchObject({ kind: 'outcome', outcome: { result: 'seen' } })
    await rm(folder, { recursive: true })
  })
} else {
  test('bubblewrap is not installed', () => {
    // A file needs a test.
  })
}
