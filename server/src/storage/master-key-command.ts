// A master key that a command prints, so that it can stay with a secret store and off this machine's disks.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Problem } from '../platform/problem.ts'
import { keyOver, parseMasterKeys, type MasterKey } from './master-key.ts'

const run = promisify(execFile)
const timeoutMs = 30_000
const outputBytesMax = 64 * 1024

/**
 * Runs the command, words parted by blanks and no shell between, at the start and whenever an unknown key has wrapped
 * what is to be read. It prints what a key file holds. Throws Problem('setting_invalid'); never tells what it printed.
 */
export async function loadMasterKeyByCommand(command: string): Promise<MasterKey> {
  const [program = '', ...args] = command.trim().split(/\s+/)
  const read = async () => {
    const { stdout } = await run(program, args, { timeout: timeoutMs, maxBuffer: outputBytesMax }).catch(() => {
      throw new Problem('setting_invalid', { detail: `The master key command (${program}) failed` })
    })
    return parseMasterKeys(stdout, 'What the master key command prints')
  }
  let keys = await read()
  return keyOver(async (known) => {
    if (!known) keys = await read()
    return keys
  })
}
