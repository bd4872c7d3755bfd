import { dirname, join } from 'node:path'
import { compressionOf, copyTable, outputFileOf } from '../formats/table-writer.ts'
import { withDuckdb } from '../formats/duckdb.ts'
import { withTable } from '../formats/table-reader.ts'
import { refuseBadRecords } from '../formats/table.ts'
import { formatOf } from '../formats/table-format.ts'
import { defineRun, inputOf } from '../processor-run.ts'
import { done } from '../processor.ts'
import { dataConvert } from './data-convert.ts'

/** Writes processed_data.* and tells its rows and columns; recordsCount is the number of rows. */
export const run = defineRun(dataConvert, async ({ parameters, outputFolder, scratchFolder, ...rest }) => {
  const file = inputOf(rest)
  const { to, exact, bad_rows: badRows, output_delimiter: delimiter } = parameters
  const compression = compressionOf(parameters)
  const output = outputFileOf('processed_data', parameters)
  const asText = to === 'csv' && (await formatOf(file)) === 'csv'
  return withDuckdb({ folders: [dirname(file.path), outputFolder], scratchFolder }, (database) =>
    withTable({ database, file, scratchFolder, options: parameters, asText }, async (table) => {
      if (badRows === 'reject') refuseBadRecords(table)
      const path = join(outputFolder, output.path)
      const rowsCount = await copyTable({ database, table, path, to, compression, delimiter, exact })
      const result = {
        kind: 'table',
        from: table.format,
        to,
        rows_count: rowsCount,
        columns: table.columns,
        skipped_rows_count: table.bad.count,
        skipped_rows: table.bad.first,
        ...(table.encoding === undefined ? {} : { encoding: table.encoding }),
        ...(table.sheet === undefined ? {} : { sheet: table.sheet, sheets: table.sheets }),
      }
      return done([output], result, { recordsCount: rowsCount })
    }),
  )
})
