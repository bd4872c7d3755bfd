// classify.rules: labels by rules over what is known of a file.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

const Label = Type.String({ minLength: 1, maxLength: 80, description: 'What the file is called when the rule holds.' })

export const classifyRules = defineProcessor({
  name: 'classify.rules',
  stage: 'analyze',
  version: 1,
  summary: 'Gives a file labels, and a retention class, by rules over its facts, the results before and its text.',
  accepts: ['*/*'],
  parameters: Type.Object(
    {
      rules: Type.Array(
        Type.Object(
          {
            label: Label,
            when: Type.String({
              minLength: 1,
              maxLength: 2000,
              description:
                'CEL expression over file (name, content_type, size_bytes, metadata), results (by step) and text (in lower case).',
            }),
            retention_class: Type.Optional(
              Type.String({ minLength: 1, maxLength: 80, description: 'Retention class of such files.' }),
            ),
          },
          { additionalProperties: false },
        ),
        { minItems: 1, maxItems: 100, description: 'Rules; every one that holds gives its label.' },
      ),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 60_000, outputBytesMax: 1024 ** 2, outputFilesMax: 0 },
  costClass: 'S',
  cost: { baseMs: 3, perMbMs: 5 },
  isolation: 'warm',
})
