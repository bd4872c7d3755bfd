// The files that the words of a command line mean: a file itself, and everything regular below a folder.

import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { Failure, exitCodes, usageFailure } from './failure.ts'

export interface LocalFile {
  path: string
  /** As it is shown and laid out: the name, below a folder with the way to it. */
  label: string
  sizeBytes: number
}

export interface LocalFiles {
  files: LocalFile[]
  /** What was passed over: hidden entries, links, and what is no regular file. */
  skippedCount: number
}

/** Finds them all before the first is sent, so that a typing error costs nothing. Throws Failure (usage). */
export async function findLocalFiles(words: readonly string[], cwd: string): Promise<LocalFiles> {
  const found: LocalFiles = { files: [], skippedCount: 0 }
  for (const word of words) {
    const full = path.resolve(cwd, word)
    const about = await stat(full).catch((error: unknown) => {
      throw unreadable(word, error)
    })
    if (about.isDirectory()) await walk(full, path.basename(full), found)
    else if (about.isFile()) found.files.push({ path: full, label: path.basename(full), sizeBytes: about.size })
    else throw usageFailure(`${word} is neither a file nor a folder.`, 'Name files or folders.')
  }
  if (found.files.length === 0)
    throw usageFailure('There is no file in what was named.', 'Name files, or folders with files.')
  return found
}

async function walk(folder: string, label: string, found: LocalFiles): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw unreadable(folder, error)
  })
  for (const entry of entries.toSorted(byName)) {
    const full = path.join(folder, entry.name)
    const entryLabel = `${label}/${entry.name}`
    // A link may lead out of the folder or back into it.
    if (entry.name.startsWith('.') || entry.isSymbolicLink()) found.skippedCount++
    else if (entry.isDirectory()) await walk(full, entryLabel, found)
    else if (entry.isFile()) found.files.push({ path: full, label: entryLabel, sizeBytes: (await stat(full)).size })
    else found.skippedCount++
  }
}

const byName = (a: Dirent, b: Dirent): number => (a.name < b.name ? -1 : 1)

function unreadable(name: string, error: unknown): Failure {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const title = code === 'ENOENT' ? `There is no file ${name}.` : `${name} cannot be read (${String(code)}).`
  return new Failure(exitCodes.usage, { title, remedy: 'Check the name and whether you may read it.' }, error)
}
