// The credentials of the first start, kept in a file that only its owner can read, so that `millrace` on the same
// machine needs no setting.

import { chmod, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'

export interface Credentials {
  url: string
  api_key: string
  email: string
  password: string
}

const credentialsFile = (dataFolder: string): string => path.join(dataFolder, 'credentials.json')

/** What an earlier start wrote, or undefined. */
export async function readCredentials(dataFolder: string): Promise<Credentials | undefined> {
  const text = await readFile(credentialsFile(dataFolder), 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    // Our own file: whoever edited it by hand gets a key that does not work, and the API says so.
    return JSON.parse(text) as Credentials
  } catch {
    return undefined
  }
}

/** Replaces the file as a whole; a crash leaves the old or the new one. */
export async function writeCredentials(dataFolder: string, credentials: Credentials): Promise<void> {
  const file = credentialsFile(dataFolder)
  await writeFile(`${file}.new`, `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600 })
  await chmod(`${file}.new`, 0o600)
  await rename(`${file}.new`, file)
}
