// Where installed wheels and built programs are kept between runs: outside the repository, and readable for the ordinary
// user that PostgreSQL insists on, which a folder below /root is not.

import { existsSync, mkdirSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Package } from './server.ts'

export const isRoot = (): boolean => process.getuid?.() === 0

export function cacheFolder(): string {
  const chosen = process.env['MILLRACE_TEST_CACHE']
  if (chosen) return path.resolve(chosen)
  if (isRoot()) return '/var/cache/millrace-test'
  return path.join(process.env['XDG_CACHE_HOME'] ?? path.join(os.homedir(), '.cache'), 'millrace-test')
}

/** Folder of one package at one version: another version never finds the remains of this one. */
export function packageFolder(from: Extract<Package, { by: 'pip' | 'go' }>): string {
  const name = from.by === 'pip' ? from.name : path.posix.basename(from.module)
  return path.join(cacheFolder(), `${name}-${from.version}`)
}

/** Path of a file of an installed package, or undefined when it has not been installed. */
export function findInPackage(from: Extract<Package, { by: 'pip' | 'go' }>, ...parts: string[]): string | undefined {
  const file = path.join(packageFolder(from), ...parts)
  return existsSync(file) ? file : undefined
}

export function makeCacheFolder(): string {
  const folder = cacheFolder()
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  return folder
}
