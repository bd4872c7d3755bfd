// The files of the project that a child needs: our code and the packages it imports, nothing else of the folder it
// lies in (which may hold data).

import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const projectFolder = fileURLToPath(new URL('../../../..', import.meta.url))

const needed = [
  'package.json',
  'node_modules',
  'contract/package.json',
  'contract/src',
  'contract/node_modules',
  'server/package.json',
  'server/src',
  'server/node_modules',
]

/** Absolute paths, those that exist. */
export const projectPaths = (): string[] =>
  needed.map((name) => path.join(projectFolder, name)).filter((file) => existsSync(file))

export const childProgram = fileURLToPath(new URL('child/main.ts', import.meta.url))
export const defaultRunsFile = fileURLToPath(new URL('../../pipeline/runs.ts', import.meta.url))
