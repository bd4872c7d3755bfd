// The command millrace. commands/ holds one file for each word, told to the parser and to the help by the same rows;
// beside it stands what several of them do: send, follow, download, tell. It knows the contract and nothing else of ours.
// Invariants: results go to the standard output and all else to the standard error; nothing that a server or a file says
// reaches a terminal unless it was made harmless (text.ts) or the disk outside the folder that was named (safe-path.ts);
// a failure says what to do, and every end has its exit code.
//
// This file is one call of it: words in, an exit code out. It touches the world only through what it is given.

import { createApi } from './api.ts'
import type { Context } from './command.ts'
import { understand } from './command-line.ts'
import { createConsole, type Sink } from './console.ts'
import { exitCodeOf, exitCodes, tellFailure, type ExitCode } from './failure.ts'
import type { Patience } from './retry.ts'
import { readSettings, type Place } from './settings.ts'

export interface World extends Patience, Place {
  out: Sink
  err: Sink
  fetch: typeof globalThis.fetch
  /** Aborted by the first Ctrl-C. */
  signal: AbortSignal
  version: string
  stateFolder: string
  ask: Context['ask']
  now: () => number
  randomId: () => string
}

/** Never throws; a failure is told before its code is answered. */
export async function run(words: readonly string[], world: World): Promise<ExitCode> {
  const { signal } = world
  // Known before the words are understood, because a word that is not is told in the same form.
  const console = createConsole({ ...world, json: words.includes('--json') })
  try {
    const understood = understand(words)
    switch (understood.kind) {
      case 'version':
        console.print(world.version)
        return exitCodes.done
      case 'help':
        console.print(understood.text)
        return exitCodes.done
      case 'command': {
        const { command, words } = understood
        const { url, key, data } = words.options as Record<'url' | 'key' | 'data', string | undefined>
        const api = async () => createApi(await readSettings({ url, key, data }, world), world)
        const context: Context = { ...world, console, api }
        return await command.run(words.operands, words.options, context)
      }
    }
  } catch (error) {
    if (signal.aborted) return exitCodes.interrupted
    console.fail(tellFailure(error))
    return exitCodeOf(error)
  } finally {
    console.setStatus([])
  }
}
