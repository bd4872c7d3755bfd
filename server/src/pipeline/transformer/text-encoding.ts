// text.encoding: a text file in UTF-8.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'
import { textTypes } from '../text-input.ts'

export const textEncoding = defineProcessor({
  name: 'text.encoding',
  stage: 'transform',
  version: 1,
  summary: 'Writes a text file as UTF-8, and tells its encoding, byte order mark and line ends.',
  accepts: textTypes,
  parameters: Type.Object(
    {
      encoding: Type.Optional(
        Type.String({ maxLength: 40, description: 'Encoding of the file, e.g. windows-1252. Found out when absent.' }),
      ),
      line_ends: Type.Enum(['keep', 'lf', 'crlf'], { default: 'keep', description: 'Line ends of the copy.' }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 300_000, outputBytesMax: 4 * 1024 ** 3, outputFilesMax: 1 },
  costClass: 'S',
  cost: { baseMs: 2, perMbMs: 15 },
  isolation: 'warm',
})
