// file.manifest: a list of what the steps before made. It belongs to the analyzing stage for the reason that text.join does:
// it may follow whatever makes files.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

export const fileManifest = defineProcessor({
  name: 'file.manifest',
  stage: 'analyze',
  version: 1,
  summary: 'Lists the files of the steps before with name, type, size, SHA-256 and the step that made each.',
  accepts: ['*/*'],
  parameters: Type.Object(
    {
      format: Type.Enum(['json', 'jsonl', 'csv'], {
        default: 'json',
        description: 'json tells the file of the job as well; jsonl and csv have a line per file.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 600_000, outputBytesMax: 64 * 1024 ** 2, outputFilesMax: 1 },
  costClass: 'S',
  cost: { baseMs: 2, perMbMs: 2 },
  isolation: 'warm',
  joins: true,
})
