// npm run check: types, lint (with its canary), format, dead code and generated docs, in that order.
// Prints each step and ends with 1 when one failed, after having run them all.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { install, projectFolder, projectNode } from './project.mjs'

await install()

/** A tool of the lockfile, run under the project's Node whatever the machine's is. */
function tool(name, args) {
  const folder = path.join(projectFolder, 'node_modules', name)
  const { bin } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
  const file = typeof bin === 'string' ? bin : (bin[name] ?? Object.values(bin)[0])
  return spawnSync(projectNode(), [path.join(folder, file), ...args], {
    cwd: projectFolder,
    encoding: 'utf8',
    maxBuffer: 64e6,
  })
}

function report(name, { status, stdout, stderr }) {
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${name}`)
  if (status !== 0) console.log(stdout + stderr)
  return status === 0
}

/** The lint run must report every fault planted in test/lint-canary, each in its file, or it has gone blind. */
function canary() {
  const folder = 'test/lint-canary'
  const { stdout } = tool('oxlint', ['--type-aware', '--format', 'json', folder])
  const reported = JSON.parse(stdout).diagnostics.map(({ code, filename }) => `${filename}: ${code}`)
  const planted = readdirSync(path.join(projectFolder, folder), { recursive: true })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join(folder, name))
    .flatMap((file) => {
      const rules = /Reported: (.+)$/m.exec(readFileSync(path.join(projectFolder, file), 'utf8'))?.[1].split(', ') ?? []
      return rules.map((rule) => ({ file, rule }))
    })
  const missing = planted
    .filter(({ file, rule }) => !reported.some((fault) => fault.startsWith(`${file}: `) && fault.includes(`(${rule})`)))
    .map(({ file, rule }) => `${rule} in ${file}`)
  if (planted.length === 0) missing.push('there is nothing planted')
  console.log(missing.length === 0 ? 'ok   lint canary' : `FAIL lint canary: not reported: ${missing.join(', ')}`)
  return missing.length === 0
}

const has = (file) => existsSync(path.join(projectFolder, file))
const script = (name, args) =>
  spawnSync(projectNode(), [`scripts/${name}`, ...args], { cwd: projectFolder, encoding: 'utf8' })

const results = [
  report('lockfile', script('complete-lockfile.mjs', ['--check'])),
  report('types', tool('typescript', ['-p', '.'])),
  has('dashboard/tsconfig.json') ? report('types of the dashboard', tool('typescript', ['-p', 'dashboard'])) : true,
  report('lint', tool('oxlint', ['--type-aware', '--deny-warnings', '--ignore-pattern', 'test/lint-canary'])),
  canary(),
  report('format', tool('oxfmt', ['--check', '.'])),
  has('knip.json') ? report('dead code', tool('knip', [])) : true,
  has('scripts/generate-docs.ts') ? report('generated docs', script('generate-docs.ts', ['--check'])) : true,
]
process.exit(results.every(Boolean) ? 0 : 1)
