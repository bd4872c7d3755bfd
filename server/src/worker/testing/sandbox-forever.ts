// Runs a task that does not end until this process is killed; prints a line once it runs.

import { argv, stdout } from 'node:process'
import type { SandboxLevel } from '../sandbox/sandbox.ts'
import { openTestSandbox } from './test-sandbox.ts'

const house = await openTestSandbox(argv[2] as SandboxLevel, argv[3])
await house.run('echo')
const running = house.run('sleep', { timeoutMs: 600_000 })
stdout.write('running\n')
await running
