// Which programs of the machine a sandbox can start: those in the folders that every sandbox sees.

import { access, constants } from 'node:fs/promises'
import path from 'node:path'

const folders = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin']

/** Whether a program can be started by this name. */
export async function hasProgram(name: string): Promise<boolean> {
  for (const folder of folders) {
    const found = await access(path.join(folder, name), constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return true
  }
  return false
}
