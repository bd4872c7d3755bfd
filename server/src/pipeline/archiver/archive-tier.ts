// archive.tier: how the objects of a file are to be kept.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

export const archiveTier = defineProcessor({
  name: 'archive.tier',
  stage: 'archive',
  version: 1,
  summary: 'Chooses the storage class of the file: how often it is expected to be read from now on.',
  accepts: ['*/*'],
  parameters: Type.Object(
    {
      class: Type.Enum(['standard', 'infrequent', 'cold'], {
        default: 'standard',
        description: 'standard is read at any time, infrequent less than monthly, cold less than yearly.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 64 * 1024 ** 2, timeoutMs: 10_000, outputBytesMax: 0, outputFilesMax: 0 },
  costClass: 'S',
  cost: { baseMs: 0.1, perMbMs: 0 },
  isolation: 'supervisor',
})
