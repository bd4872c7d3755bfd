// file.ingest: what a file really is, and whether it is whole.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

export const fileIngest = defineProcessor({
  name: 'file.ingest',
  stage: 'validate',
  version: 1,
  summary:
    'Tells the type of a file by its content, compares it with its name and with what its sender says, checks that it is whole, finds files that are two things at once, and computes checksums.',
  accepts: ['*/*'],
  parameters: Type.Object(
    {
      strictness: Type.Enum(['strict', 'normal', 'report'], {
        default: 'normal',
        description:
          'normal refuses damaged and encrypted files and types that are not allowed; strict refuses a wrong ending, a wrong type told by the sender, and files that are two things at once as well; report only tells.',
      }),
      allow: Type.Array(Type.String({ pattern: '^[a-z*]+/[a-z0-9.+*-]+$', maxLength: 100 }), {
        maxItems: 100,
        default: ['*/*'],
        description: 'Content types that are let through, with * as a wildcard part.',
      }),
      checksums: Type.Array(Type.Enum(['crc32', 'md5', 'sha1']), {
        uniqueItems: true,
        default: ['crc32'],
        description: 'Checksums beside SHA-256, which every file has.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 120_000, outputBytesMax: 0, outputFilesMax: 0 },
  costClass: 'S',
  cost: { baseMs: 2, perMbMs: 0.6 },
  isolation: 'warm',
})
