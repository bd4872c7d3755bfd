// A master key in a file of this machine: one key a line, the first one in force.
//
// Rotation needs no restart: the file is read again whenever something is wrapped, and when a key that is not known yet
// has wrapped what is to be read. 1. Add a new line at the end, on every machine. 2. Move it to the top, on every
// machine. 3. Run `keys rewrap`. 4. Remove the old line.

import { randomBytes, type KeyObject } from 'node:crypto'
import { link, open, readFile, rm, stat } from 'node:fs/promises'
import { platform } from 'node:process'
import { Problem } from '../platform/problem.ts'
import { keySizeBytes } from './encryption.ts'
import { keyOver, masterKeyLine, parseMasterKeys, type MasterKey } from './master-key.ts'

/**
 * Reads the master key from its file, or makes one at random in a new file of mode 0600. Of two processes that do so
 * at the same moment both get the same key. Throws Problem('setting_invalid') for a file that others may read or
 * that holds no key. Whoever loses this file loses everything that is stored.
 */
export async function loadOrCreateMasterKey(path: string): Promise<MasterKey> {
  let keys = (await readKeyFile(path)) ?? (await createKeyFile(path))
  return keyOver(async (known) => {
    if (!known) keys = (await readKeyFile(path)) ?? keys
    return keys
  })
}

async function readKeyFile(path: string): Promise<KeyObject[] | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (found === undefined) return undefined
  if (platform !== 'win32' && (found.mode & 0o077) !== 0)
    throw new Problem('setting_invalid', { detail: 'The master key file must have mode 0600: others can read it' })
  return parseMasterKeys(await readFile(path, 'utf8'), 'The master key file')
}

async function createKeyFile(path: string): Promise<KeyObject[]> {
  const line = masterKeyLine(randomBytes(keySizeBytes))
  const temp = `${path}.${randomBytes(6).toString('hex')}`
  const handle = await open(temp, 'wx', 0o600)
  try {
    await handle.writeFile(`${line}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  try {
    // A link appears whole and never replaces a key that another process has made meanwhile.
    await link(temp, path)
    return parseMasterKeys(line, 'The master key file')
  } catch (error) {
    const existing = await readKeyFile(path)
    if (existing === undefined) throw error
    return existing
  } finally {
    await rm(temp, { force: true })
  }
}
