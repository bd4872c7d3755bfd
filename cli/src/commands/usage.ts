// millrace usage: what the tenant has used of what it may have.

import { defineCommand } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { formatBytes } from '../text.ts'

export const usageCommand = defineCommand({
  summary: 'what is used, what uploads under way have reserved, and what is left',
  async run(_, __, { api, console }) {
    const usage = await (await api()).call('getUsage', {})
    if (console.json) console.printJson(usage)
    else {
      const {
        files_count_max: filesMax,
        stored_bytes_max: bytesMax,
        files_left: filesLeft,
        bytes_left: bytesLeft,
      } = usage
      const [stored, most, reserved, left] = [usage.stored_bytes, bytesMax, usage.reserved_bytes, bytesLeft].map(
        formatBytes,
      )
      console.print(`${usage.files_count} of ${filesMax} files, ${usage.reserved_files} reserved, ${filesLeft} left`)
      console.print(`${stored} of ${most}, ${reserved} reserved, ${left} left`)
    }
    return exitCodes.done
  },
})
