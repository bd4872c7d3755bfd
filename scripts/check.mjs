// npm run check: types, lint (with its canary), format, dead code and generated docs, in that order.
// Prints each step and ends with 1 when one failed, after having run them all.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const bin = (name) => `node_modules/.bin/${name}`

function run(name, command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64e6 })
  const ok = status === 0
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}`)
  if (!ok) console.log(stdout + stderr)
  return ok
}

/** The lint run must report every fault planted in test/lint-canary, or it has gone blind. */
function canary() {
  const { stdout } = spawnSync(bin('oxlint'), ['--format', 'json', 'test/lint-canary'], {
    encoding: 'utf8',
  })
  const codes = JSON.parse(stdout).diagnostics.map((diagnostic) => diagnostic.code)
  const missing = ['no-restricted-imports', 'no-restricted-globals', 'no-cycle'].filter(
    (rule) => !codes.some((code) => code.includes(rule)),
  )
  console.log(missing.length === 0 ? 'ok   lint canary' : `FAIL lint canary: not reported: ${missing.join(', ')}`)
  return missing.length === 0
}

const results = [
  run('types', bin('tsc'), ['-p', '.']),
  existsSync('dashboard/tsconfig.json') ? run('types of the dashboard', bin('tsc'), ['-p', 'dashboard']) : true,
  run('lint', bin('oxlint'), ['--type-aware', '--deny-warnings', '--ignore-pattern', 'test/lint-canary']),
  canary(),
  run('format', bin('oxfmt'), ['--check', '.']),
  existsSync('knip.json') ? run('dead code', bin('knip'), []) : true,
  existsSync('scripts/generate-docs.ts')
    ? run('generated docs', bin('node'), ['scripts/generate-docs.ts', '--check'])
    : true,
]
process.exit(results.every(Boolean) ? 0 : 1)
