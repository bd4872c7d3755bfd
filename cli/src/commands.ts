// Every command, by the word that calls it.

import type { Command, CommandGroup } from './command.ts'
import { adminCommand } from './commands/admin.ts'
import { batchCommand } from './commands/batch.ts'
import { controlTasksCommand } from './commands/control-tasks.ts'
import { deadLettersCommand } from './commands/dead-letters.ts'
import { doctorCommand } from './commands/doctor.ts'
import { filesCommand } from './commands/files.ts'
import { importSourcesCommand } from './commands/import-sources.ts'
import { importCommand } from './commands/import.ts'
import { jobsCommand } from './commands/jobs.ts'
import { keysCommand } from './commands/keys.ts'
import { linksCommand } from './commands/links.ts'
import { pipelinesCommand } from './commands/pipelines.ts'
import { processCommand } from './commands/process.ts'
import { processorsCommand } from './commands/processors.ts'
import { schedulesCommand } from './commands/schedules.ts'
import { searchCommand } from './commands/search.ts'
import { uploadCommand } from './commands/upload.ts'
import { uploadsCommand } from './commands/uploads.ts'
import { usageCommand } from './commands/usage.ts'
import { watchCommand } from './commands/watch.ts'
import { whoamiCommand } from './commands/whoami.ts'

export const commands = {
  process: processCommand,
  upload: uploadCommand,
  import: importCommand,
  watch: watchCommand,
  jobs: jobsCommand,
  files: filesCommand,
  search: searchCommand,
  links: linksCommand,
  uploads: uploadsCommand,
  'import-sources': importSourcesCommand,
  batch: batchCommand,
  schedules: schedulesCommand,
  'dead-letters': deadLettersCommand,
  'control-tasks': controlTasksCommand,
  pipelines: pipelinesCommand,
  processors: processorsCommand,
  keys: keysCommand,
  doctor: doctorCommand,
  admin: adminCommand,
  usage: usageCommand,
  whoami: whoamiCommand,
} as const satisfies Record<string, Command | CommandGroup>

export type CommandName = keyof typeof commands
