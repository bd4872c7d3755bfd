// Every command, by the word that calls it.

import type { Command, CommandGroup } from './command.ts'
import { batchCommand } from './commands/batch.ts'
import { deadLettersCommand } from './commands/dead-letters.ts'
import { doctorCommand } from './commands/doctor.ts'
import { filesCommand } from './commands/files.ts'
import { jobsCommand } from './commands/jobs.ts'
import { keysCommand } from './commands/keys.ts'
import { pipelinesCommand } from './commands/pipelines.ts'
import { processCommand } from './commands/process.ts'
import { processorsCommand } from './commands/processors.ts'
import { schedulesCommand } from './commands/schedules.ts'
import { searchCommand } from './commands/search.ts'
import { uploadCommand } from './commands/upload.ts'
import { watchCommand } from './commands/watch.ts'
import { whoamiCommand } from './commands/whoami.ts'

export const commands = {
  process: processCommand,
  upload: uploadCommand,
  watch: watchCommand,
  jobs: jobsCommand,
  batch: batchCommand,
  'dead-letters': deadLettersCommand,
  schedules: schedulesCommand,
  files: filesCommand,
  search: searchCommand,
  pipelines: pipelinesCommand,
  processors: processorsCommand,
  keys: keysCommand,
  doctor: doctorCommand,
  whoami: whoamiCommand,
} as const satisfies Record<string, Command | CommandGroup>

export type CommandName = keyof typeof commands
