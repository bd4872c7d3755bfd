// image.metadata: what a picture says about itself.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

export const imageMetadata = defineProcessor({
  name: 'image.metadata',
  stage: 'analyze',
  version: 1,
  summary:
    'Reads dimensions, colour space, camera, time and the other metadata of a picture; without the place unless asked.',
  accepts: ['image/*'],
  parameters: Type.Object(
    {
      gps: Type.Enum(['drop', 'keep'], {
        default: 'drop',
        description: 'Whether the place where the picture was taken is told.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 30_000, outputBytesMax: 1024 ** 2, outputFilesMax: 0 },
  costClass: 'S',
  cost: { baseMs: 3, perMbMs: 0 },
  isolation: 'warm',
})
