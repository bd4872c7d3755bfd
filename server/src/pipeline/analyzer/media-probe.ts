// media.probe: what is in a recording or a film.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

export const mediaProbe = defineProcessor({
  name: 'media.probe',
  stage: 'analyze',
  version: 1,
  summary:
    'Reads duration, streams, codecs and tags of sound and film; by ffprobe where it is installed, by the container alone where it is not.',
  accepts: ['audio/*', 'video/*', 'application/ogg'],
  parameters: Type.Object(
    {
      source: Type.Enum(['auto', 'container'], {
        default: 'auto',
        description:
          'auto asks ffprobe where there is one; container never does, so that the answer is the same anywhere.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 60_000, outputBytesMax: 0, outputFilesMax: 0 },
  costClass: 'M',
  cost: { baseMs: 40, perMbMs: 1 },
  isolation: 'warm',
})
