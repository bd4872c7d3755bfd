// text.language: the language of a text.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'
import { textTypes } from '../text-input.ts'

export const textLanguage = defineProcessor({
  name: 'text.language',
  stage: 'analyze',
  version: 2,
  summary: 'Tells the language of a text, with the ones that come next. Knows 60 languages.',
  accepts: textTypes,
  parameters: Type.Object({}, { additionalProperties: false }),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 60_000, outputBytesMax: 1024 ** 2, outputFilesMax: 0 },
  costClass: 'S',
  cost: { baseMs: 2, perMbMs: 1 },
  isolation: 'warm',
})
