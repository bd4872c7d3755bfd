// The options that every command which sends files takes.

import { lanes } from '@millrace/contract'
import { readCount, readJsonObject, readWord, type OptionValues } from '../command.ts'
import { usageFailure } from '../failure.ts'
import type { UploadOptions } from '../upload-request.ts'

export const uploadOptionRows = {
  pipeline: { value: 'NAME', help: 'pipeline to run; else the default for the type of each file' },
  metadata: { value: 'JSON', help: 'an object that is kept with every file, e.g. {"project":"x"}' },
  priority: { value: 'LANE', help: lanes.join(', ') },
  'version-of': { value: 'FILE', help: 'the file that gets a new version by this one, by its id' },
  parallel: { value: 'N', help: 'uploads at a time (4)' },
} as const

export const resumableHelp = `Files over 16 MB are sent so that a cut costs nothing that has arrived: the command goes
on by itself, and after Ctrl-C the same command goes on from there.`

const parallelDefault = 4
const parallelMax = 64

export interface UploadOrder {
  upload: UploadOptions
  parallelCount: number
}

export const readUploadOptions = (options: OptionValues<typeof uploadOptionRows>): UploadOrder => ({
  upload: {
    pipeline: options.pipeline,
    metadata: readJsonObject('metadata', options.metadata) && options.metadata,
    priority: readWord('priority', options.priority, lanes),
    fileId: options['version-of'],
  },
  parallelCount: readCount('parallel', options.parallel, parallelMax) ?? parallelDefault,
})

/** Two files cannot both be the next version of one. */
export function checkFilesCount({ upload }: UploadOrder, filesCount: number): void {
  if (upload.fileId !== undefined && filesCount > 1)
    throw usageFailure(`--version-of is given, and ${filesCount} files.`, 'Name one file with --version-of.')
}
