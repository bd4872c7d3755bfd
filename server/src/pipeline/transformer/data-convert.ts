// data.convert: a table in another format.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'
import { tableOutputParameters, tableParameters, tableTypes } from '../table-input.ts'

export const dataConvert = defineProcessor({
  name: 'data.convert',
  stage: 'transform',
  version: 1,
  summary: 'Writes a table (CSV, TSV, JSON, JSONL, Parquet, XLSX) as CSV, JSON, JSONL or Parquet.',
  accepts: tableTypes,
  parameters: Type.Object(
    {
      ...tableOutputParameters,
      ...tableParameters,
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1536 * 1024 ** 2, timeoutMs: 600_000, outputBytesMax: 8 * 1024 ** 3, outputFilesMax: 1 },
  costClass: 'L',
  cost: { baseMs: 60, perMbMs: 10 },
  isolation: 'warm',
})
