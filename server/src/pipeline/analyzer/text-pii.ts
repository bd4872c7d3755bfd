// text.pii: personal data in texts, by rules and check digits.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'
import { textTypes } from '../text-input.ts'

export const piiKinds = ['email', 'phone', 'iban', 'card', 'ip', 'national_id'] as const

export const textPii = defineProcessor({
  name: 'text.pii',
  stage: 'analyze',
  version: 1,
  summary:
    'Finds personal data in a text: e-mail addresses, phone numbers, IBANs, payment cards, IP addresses and national ids, and writes a copy without them.',
  accepts: textTypes,
  parameters: Type.Object(
    {
      kinds: Type.Array(Type.Enum([...piiKinds]), {
        minItems: 1,
        uniqueItems: true,
        default: [...piiKinds],
        description: 'What is looked for.',
      }),
      mode: Type.Enum(['report', 'mask', 'hash'], {
        default: 'report',
        description:
          'report: no copy. mask: the copy has [email] and the like in their place. hash: the same with a keyed hash, by which equal values can be told to be equal.',
      }),
      hash_key: Type.Optional(
        Type.String({
          minLength: 16,
          maxLength: 200,
          description:
            'Key of the hashes; with the same key, equal values are equal across files. When absent, each file has its own.',
        }),
      ),
      findings_max: Type.Integer({
        minimum: 0,
        maximum: 1000,
        default: 100,
        description: 'Findings told one by one, with their place and without their value.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 300_000, outputBytesMax: 4 * 1024 ** 3, outputFilesMax: 100 },
  costClass: 'M',
  cost: { baseMs: 2, perMbMs: 60 },
  isolation: 'warm',
})

export type PiiKind = (typeof piiKinds)[number]
