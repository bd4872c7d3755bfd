// data.union: the tables of the steps before as one. It belongs to the analyzing stage for the reason that text.join does: it
// may follow whatever makes files.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'
import { tableOutputParameters, tableParameters, tableTypes } from '../table-input.ts'

export const dataUnion = defineProcessor({
  name: 'data.union',
  stage: 'analyze',
  version: 1,
  summary: 'Puts the rows of all tables of the steps before under each other, column by column name.',
  accepts: tableTypes,
  parameters: Type.Object(
    {
      source_column: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 200,
          description: 'Name of a column that tells the file of each row. None when absent.',
        }),
      ),
      ...tableOutputParameters,
      ...tableParameters,
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1536 * 1024 ** 2, timeoutMs: 600_000, outputBytesMax: 8 * 1024 ** 3, outputFilesMax: 1 },
  costClass: 'L',
  cost: { baseMs: 60, perMbMs: 15 },
  isolation: 'warm',
  joins: true,
})
