// data.profile: what is in a table, column by column.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'
import { tableParameters, tableTypes } from '../table-input.ts'

export const dataProfile = defineProcessor({
  name: 'data.profile',
  stage: 'analyze',
  version: 1,
  summary:
    'Describes a table: columns, types, gaps, distinct values, ranges, quantiles, histograms and frequent values.',
  accepts: tableTypes,
  parameters: Type.Object(
    {
      columns_max: Type.Integer({
        minimum: 1,
        maximum: 500,
        default: 200,
        description: 'Columns described in full; of a wider table the first ones.',
      }),
      bins: Type.Integer({ minimum: 2, maximum: 50, default: 12, description: 'Bars of a histogram.' }),
      top: Type.Integer({ minimum: 0, maximum: 50, default: 8, description: 'Frequent values told per column.' }),
      bad_rows: Type.Enum(['reject', 'skip'], {
        default: 'reject',
        description: 'Whether records that are no rows fail the step or are left out and counted.',
      }),
      ...tableParameters,
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1536 * 1024 ** 2, timeoutMs: 600_000, outputBytesMax: 1024 ** 2, outputFilesMax: 0 },
  costClass: 'L',
  cost: { baseMs: 60, perMbMs: 20 },
  isolation: 'warm',
})
