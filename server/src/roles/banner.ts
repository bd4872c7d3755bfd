// What a start tells the person who made it: where it is, how to get in, what it runs on and what survives what.

import type { Credentials } from './credentials.ts'

export interface Started {
  role: string
  url: string
  /** By name of the part. */
  descriptions: Record<string, string>
  credentials: Credentials | undefined
  dataFolder: string
}

const nameWidth = 9

export function bannerOf({ role, url, descriptions, credentials, dataFolder }: Started): string {
  const lines = [
    '',
    `  Millrace is ready at ${url}${role === 'all' ? '' : ` (role ${role})`}`,
    '',
    ...Object.entries(descriptions).map(([name, text]) => line(name, text)),
    line('data', dataFolder),
  ]
  if (credentials !== undefined)
    lines.push(
      '',
      line('sign in', `${credentials.email}  ${credentials.password}`),
      '',
      `  export MILLRACE_URL=${credentials.url}`,
      `  export MILLRACE_API_KEY=${credentials.api_key}`,
    )
  return `${lines.join('\n')}\n`
}

const line = (name: string, text: string): string => `  ${name.padEnd(nameWidth)} ${text}`
