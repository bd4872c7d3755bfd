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

/** Spread into the parameters of a processor. */
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
