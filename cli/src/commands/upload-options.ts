// The options that every command which sends files takes.

import { lanes } from '@millrace/contract'
import { readCount, readWord, type OptionValues } from '../command.ts'
import { usageFailure } from '../failure.ts'
import type { UploadOptions } from '../upload.ts'

export const uploadOptionRows = {
  pipeline: { value: 'NAME', help: 'pipeline to run; else the default for the type of each file' },
  metadata: { value: 'JSON', help: 'an object that is kept with every file, e.g. {"project":"x"}' },
  priority: { value: 'LANE', help: lanes.join(', ') },
  parallel: { value: 'N', help: 'uploads at a time (4)' },
} as const

const parallelDefault = 4
const parallelMax = 64

export function readUploadOptions(
  options: OptionValues<typeof uploadOptionRows>,
): UploadOptions & { parallelCount: number } {
  return {
    pipeline: options.pipeline,
    metadata: options.metadata === undefined ? undefined : checkMetadata(options.metadata),
    priority: readWord('priority', options.priority, lanes),
    parallelCount: readCount('parallel', options.parallel, parallelMax) ?? parallelDefault,
  }
}

function checkMetadata(text: string): string {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return text
  } catch {
    // Told below.
  }
  throw usageFailure('--metadata is not a JSON object.', `Give one such as '{"project":"x"}', in quotes of the shell.`)
}
