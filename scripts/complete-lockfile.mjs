// Writes into package-lock.json the optional packages of other platforms that npm left out because the registry it
// asked did not have them. Without their entries `npm ci` of npm 11 refuses the lockfile, and a machine of such a
// platform would lack its binary. Run after every npm install; `npm run check` runs it with --check.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { projectFolder } from './project.mjs'

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64']

const file = path.join(projectFolder, 'package-lock.json')
const lock = JSON.parse(readFileSync(file, 'utf8'))
const missing = {}

for (const [place, { optionalDependencies = {} }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    if (lock.packages[`${place}/node_modules/${name}`] || lock.packages[`node_modules/${name}`]) continue
    missing[`node_modules/${name}`] = { version, ...platformOf(name), optional: true }
  }
}

/** Their names say what they are for: …-linux-arm64-musl, …/win32-x64. */
function platformOf(name) {
  const words = name.split('/').at(-1).split('-')
  const os = systems.find((system) => words.includes(system))
  const cpu = processors.find((processor) => words.some((word) => word.startsWith(processor)))
  if (!os || !cpu) throw new Error(`${name}: neither in the lockfile nor named after a platform`)
  return {
    cpu: [cpu],
    os: [os],
    ...(words.includes('musl')
      ? { libc: ['musl'] }
      : words.includes('gnu') && os === 'linux'
        ? { libc: ['glibc'] }
        : {}),
  }
}

const count = Object.keys(missing).length
if (process.argv.includes('--check')) {
  if (count > 0)
    console.error(
      `package-lock.json lacks ${count} packages of other platforms: run node scripts/complete-lockfile.mjs`,
    )
  process.exit(count > 0 ? 1 : 0)
}
lock.packages = Object.fromEntries(
  Object.entries({ ...lock.packages, ...missing }).toSorted(([a], [b]) => a.localeCompare(b, 'en')),
)
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${count} packages of other platforms added to package-lock.json`)
