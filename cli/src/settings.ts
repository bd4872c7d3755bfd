// Which server and which key: flags, then the environment, then what a local start left in its data folder.

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { usageFailure } from './failure.ts'

export interface Settings {
  url: string
  key: string
}

export interface SettingsFlags {
  url?: string | undefined
  key?: string | undefined
  data?: string | undefined
}

export interface Place {
  environment: Record<string, string | undefined>
  cwd: string
  /** The folder of the clone. */
  projectFolder: string
}

/** Throws Failure (usage) that says where it looked. */
export async function readSettings(flags: SettingsFlags, place: Place): Promise<Settings> {
  const { environment } = place
  const url = flags.url ?? (environment['MILLRACE_URL'] || undefined)
  const key = flags.key ?? (environment['MILLRACE_API_KEY'] || undefined)
  if (url !== undefined && key !== undefined) return { url: checkUrl(url), key: checkKey(key) }
  const local = await readLocal(flags, place)
  // A key of this machine is not sent to a server that somebody named elsewhere.
  const localKey = local && (url === undefined || sameOrigin(url, local.url)) ? local.key : undefined
  const found = { url: url ?? local?.url, key: key ?? localKey }
  if (found.url === undefined)
    throw usageFailure(
      'No server is named.',
      'Run npm start here, or set MILLRACE_URL and MILLRACE_API_KEY (--url, --key).',
    )
  if (found.key === undefined)
    throw usageFailure(`There is no API key for ${found.url}.`, 'Set MILLRACE_API_KEY or give --key.')
  return { url: checkUrl(found.url), key: checkKey(found.key) }
}

/** The file that the first start wrote; see server/src/roles/credentials.ts. */
async function readLocal(
  flags: SettingsFlags,
  { environment, cwd, projectFolder }: Place,
): Promise<Settings | undefined> {
  const named = flags.data ?? (environment['MILLRACE_DATA'] || undefined)
  const folders =
    named === undefined ? [path.join(cwd, 'data'), path.join(projectFolder, 'data')] : [path.resolve(cwd, named)]
  for (const folder of folders) {
    const text = await readFile(path.join(folder, 'credentials.json'), 'utf8').catch(() => undefined)
    const settings = text === undefined ? undefined : parseCredentials(text)
    if (settings) return settings
  }
  if (flags.data !== undefined)
    throw usageFailure(
      `There are no credentials in ${folders[0]}.`,
      'Name the data folder of a server that was started.',
    )
  return undefined
}

function parseCredentials(text: string): Settings | undefined {
  try {
    const value = JSON.parse(text) as { url?: unknown; api_key?: unknown }
    if (typeof value.url !== 'string' || typeof value.api_key !== 'string') return undefined
    return { url: value.url, key: value.api_key }
  } catch {
    return undefined
  }
}

function checkUrl(url: string): string {
  if (!URL.canParse(url) || !['http:', 'https:'].includes(new URL(url).protocol))
    throw usageFailure(`"${url}" is not the URL of a server.`, 'Give one such as http://127.0.0.1:8080.')
  return url.replace(/\/+$/, '')
}

/** A key goes into a header, where a line break or a space pasted along would make every request fail oddly. */
function checkKey(key: string): string {
  if (!/^[\x21-\x7e]+$/.test(key))
    throw usageFailure(
      'The API key holds a character that no key has.',
      'Copy it again, without spaces and line breaks.',
    )
  return key
}

const sameOrigin = (a: string, b: string): boolean =>
  URL.canParse(a) && URL.canParse(b) && new URL(a).origin === new URL(b).origin
