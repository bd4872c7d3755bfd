// data.validate: whether a table is whole, and whether its values keep the rules.

import { Type, type Static } from 'typebox'
import { defineProcessor } from '../processor.ts'
import { tableParameters, tableTypes } from '../table-input.ts'

const Bound = Type.Union([Type.Number(), Type.String({ maxLength: 40 })])

export const ColumnRule = Type.Object(
  {
    column: Type.String({ minLength: 1, maxLength: 200, description: 'Name of the column.' }),
    type: Type.Optional(
      Type.Enum(['integer', 'number', 'boolean', 'date', 'timestamp'], {
        description: 'What every value must be. Dates are written YYYY-MM-DD.',
      }),
    ),
    required: Type.Optional(Type.Boolean({ description: 'No value may be missing or blank.' })),
    unique: Type.Optional(Type.Boolean({ description: 'No value may stand twice.' })),
    min: Type.Optional(Bound),
    max: Type.Optional(Bound),
    length_max: Type.Optional(Type.Integer({ minimum: 0, description: 'Characters of the longest value allowed.' })),
    pattern: Type.Optional(
      Type.String({ maxLength: 1000, description: 'Regular expression (RE2) found in every value.' }),
    ),
    values: Type.Optional(
      Type.Array(Type.String({ maxLength: 1000 }), { maxItems: 1000, description: 'The values allowed.' }),
    ),
  },
  { additionalProperties: false },
)
export type ColumnRule = Static<typeof ColumnRule>

export const dataValidate = defineProcessor({
  name: 'data.validate',
  stage: 'validate',
  version: 1,
  summary:
    'Checks a table: that it can be read, that every record is a row, and rules for its values. Tells good and bad rows, the first bad ones with their lines.',
  accepts: tableTypes,
  parameters: Type.Object(
    {
      rules: Type.Array(ColumnRule, {
        maxItems: 200,
        default: [],
        description: 'Rules for columns; none checks the structure only.',
      }),
      rows_min: Type.Optional(Type.Integer({ minimum: 0, description: 'Rows that there must be at least.' })),
      rows_max: Type.Optional(Type.Integer({ minimum: 0, description: 'Rows that there may be at most.' })),
      on_invalid: Type.Enum(['reject', 'report'], {
        default: 'reject',
        description: 'Whether bad data fails the step, or is told in its result only.',
      }),
      bad_rows_told_max: Type.Integer({
        minimum: 0,
        maximum: 500,
        default: 50,
        description: 'Bad rows told one by one.',
      }),
      ...tableParameters,
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1536 * 1024 ** 2, timeoutMs: 600_000, outputBytesMax: 1024 ** 2, outputFilesMax: 0 },
  costClass: 'L',
  cost: { baseMs: 60, perMbMs: 12 },
  isolation: 'warm',
})
