// Every real server and program that suites may ask for.

import { postgres15 } from './servers/postgres-15.ts'
import { postgres18 } from './servers/postgres-18.ts'
import { bubblewrap, chromium, ffmpeg, go, poppler, tesseract } from './servers/programs.ts'
import { seaweedfs } from './servers/seaweedfs.ts'
import type { Part, Program, RunningServer, Server } from './servers/server.ts'
import { valkey } from './servers/valkey.ts'
import { versitygw } from './servers/versitygw.ts'

export const servers = { postgres15, postgres18, valkey, seaweedfs, versitygw } as const satisfies Record<
  string,
  Server
>
export const programs = { bubblewrap, chromium, ffmpeg, go, poppler, tesseract } as const satisfies Record<
  string,
  Program
>

export type ServerKey = keyof typeof servers
export type ProgramKey = keyof typeof programs
export type PartKey = ServerKey | ProgramKey
export const parts: Record<PartKey, Part> = { ...servers, ...programs }
export const partKeys = Object.keys(parts) as PartKey[] // The keys of a literal object are its own.

/** What came of looking for a part and, for a server, of starting it. */
export type PartState = { state: 'here'; version: string; url?: string } | { state: 'missing'; why: string }
export type PartStates = Record<PartKey, PartState>

/** Looks for every part, without changing anything. */
export async function findParts(): Promise<PartStates> {
  const found = await Promise.all(
    partKeys.map(async (key): Promise<[PartKey, PartState]> => {
      const finding = await parts[key].find().catch((error: unknown) => ({ found: false as const, why: String(error) }))
      return [key, finding.found ? { state: 'here', version: finding.version } : { state: 'missing', why: finding.why }]
    }),
  )
  // One entry for each key of PartKey was made above.
  return Object.fromEntries(found) as PartStates
}

/** Starts the servers that are here; one that does not start is reported as missing, with the reason. */
export async function startServers(
  states: PartStates,
  wanted: readonly ServerKey[],
): Promise<{ states: PartStates; stop: () => Promise<void> }> {
  const running: RunningServer[] = []
  const started: PartStates = { ...states }
  await Promise.all(
    wanted.map(async (key) => {
      const state = states[key]
      if (state.state === 'missing') return
      try {
        const server = await servers[key].start()
        running.push(server)
        started[key] = { ...state, url: server.url }
      } catch (error) {
        started[key] = { state: 'missing', why: error instanceof Error ? error.message : String(error) }
      }
    }),
  )
  return {
    states: started,
    stop: async () => {
      await Promise.all(running.map((server) => server.stop()))
    },
  }
}

/** The variables by which tests and benchmarks are told of the parts. */
export function partEnvironment(states: PartStates, keys: readonly PartKey[]): Record<string, string> {
  const environment: Record<string, string> = {}
  for (const key of keys) {
    const state = states[key]
    if (state.state === 'missing') continue
    const variable = variables[key]
    if (variable) environment[variable] = key in programs ? programs[key as ProgramKey].path : (state.url ?? '')
  }
  return environment
}

const variables: Partial<Record<PartKey, string>> = {
  postgres15: 'MILLRACE_TEST_DATABASE_URL',
  postgres18: 'MILLRACE_TEST_DATABASE_URL',
  valkey: 'MILLRACE_TEST_REDIS_URL',
  seaweedfs: 'MILLRACE_TEST_S3_SEAWEEDFS',
  versitygw: 'MILLRACE_TEST_S3_VERSITYGW',
  chromium: 'MILLRACE_TEST_CHROMIUM',
  go: 'MILLRACE_TEST_GO',
}
