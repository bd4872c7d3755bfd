// text.join: the texts of a step's parts as one. It belongs to the analyzing stage, because the steps that give text
// do, and no step follows one of a later stage.

import { Type } from 'typebox'
import { fileNamePattern } from '../output-name.ts'
import { defineProcessor } from '../processor.ts'
import { textTypes } from '../text-input.ts'

export const textJoin = defineProcessor({
  name: 'text.join',
  stage: 'analyze',
  version: 1,
  summary: 'Joins the texts of the step before, e.g. of every page, into one file in their order.',
  accepts: textTypes,
  parameters: Type.Object(
    {
      separator: Type.String({ maxLength: 100, default: '\n\n', description: 'What stands between two texts.' }),
      name: Type.String({
        minLength: 1,
        maxLength: 200,
        pattern: fileNamePattern,
        default: 'text.txt',
        description: 'Name of the file.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 300_000, outputBytesMax: 4 * 1024 ** 3, outputFilesMax: 1 },
  costClass: 'S',
  cost: { baseMs: 2, perMbMs: 10 },
  isolation: 'warm',
  joins: true,
})
