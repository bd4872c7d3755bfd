// What every step that reads a table accepts, and the parameters by which it is told how to read it.
// Light: loaded with the descriptions of the processors; the reading itself is in formats/.

import { Type, type Static } from 'typebox'

/** Content types of the files that hold a table. */
export const tableTypes = [
  'text/csv',
  'text/tab-separated-values',
  'application/json',
  'application/jsonl',
  'application/x-ndjson',
  'application/vnd.apache.parquet',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
] as const

/** How a table is written; spread into the parameters of a processor that does. */
export const tableOutputParameters = {
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
}

/** How a table is read; spread into the parameters of a processor. */
export const tableParameters = {
  delimiter: Type.Optional(
    Type.String({ minLength: 1, maxLength: 1, description: 'Delimiter of a CSV file. Found out when absent.' }),
  ),
  encoding: Type.Optional(
    Type.String({ maxLength: 40, description: 'Encoding of a CSV file, e.g. windows-1252. Found out when absent.' }),
  ),
  header: Type.Optional(
    Type.Boolean({
      description: 'Whether the first row of a CSV file or a sheet names the columns. Found out when absent.',
    }),
  ),
  sheet: Type.Optional(
    Type.String({ maxLength: 255, description: 'Name of the sheet of a workbook. The first one when absent.' }),
  ),
}

const TableParameters = Type.Object(tableParameters)
export type TableOptions = Static<typeof TableParameters>
