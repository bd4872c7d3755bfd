// data.convert: a table in another format.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'
import { tableParameters, tableTypes } from '../table-input.ts'

export const dataConvert = defineProcessor({
  name: 'data.convert',
  stage: 'transform',
  version: 1,
  summary: 'Writes a table (CSV, TSV, JSON, JSONL, Parquet, XLSX) as CSV, JSON, JSONL or Parquet.',
  accepts: tableTypes,
  parameters: Type.Object(
    {
      to: Type.Enum(['csv', 'json', 'jsonl', 'parquet'], { default: 'csv', description: 'Format to write.' }),
      compression: Type.Optional(
        Type.Enum(['none', 'gzip', 'zstd', 'snappy'], {
          description: 'Compression of the output; snappy is for Parquet only. Default: zstd for Parquet, else none.',
        }),
      ),
      output_delimiter: Type.String({
        minLength: 1,
        maxLength: 1,
        default: ',',
        description: 'Delimiter of a CSV that is written.',
      }),
      exact: Type.Boolean({
        default: false,
        description:
          'Writes texts to CSV as they are. By default a text that a spreadsheet would run as a formula (it begins with = + - @) gets an apostrophe in front.',
      }),
      bad_rows: Type.Enum(['reject', 'skip'], {
        default: 'reject',
        description:
          'Whether records that are no rows (ragged CSV, broken JSONL lines) fail the step or are left out and counted.',
      }),
      ...tableParameters,
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1536 * 1024 ** 2, timeoutMs: 600_000, outputBytesMax: 8 * 1024 ** 3, outputFilesMax: 1 },
  costClass: 'L',
  cost: { baseMs: 60, perMbMs: 10 },
  isolation: 'warm',
})
