// archive.create: what the steps before made, as one zip. It belongs to the analyzing stage for the reason that text.join
// does: it may follow whatever makes files.

import { Type } from 'typebox'
import { fileNamePattern } from '../output-name.ts'
import { defineProcessor } from '../processor.ts'

export const archiveCreate = defineProcessor({
  name: 'archive.create',
  stage: 'analyze',
  version: 1,
  summary: 'Puts the files of the steps before into one zip, in their order, uncompressed.',
  accepts: ['*/*'],
  parameters: Type.Object(
    {
      name: Type.String({
        minLength: 1,
        maxLength: 200,
        pattern: fileNamePattern,
        default: 'files.zip',
        description: 'Name of the zip.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 600_000, outputBytesMax: 16 * 1024 ** 3, outputFilesMax: 1 },
  costClass: 'M',
  cost: { baseMs: 3, perMbMs: 5 },
  isolation: 'warm',
  joins: true,
})
