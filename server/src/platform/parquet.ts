// Tables as Apache Parquet while their rows come in: a row group per page, so that memory holds one page. It is written by
// hyparquet-writer, JavaScript without native code: DuckDB, which writes tables in the sandbox, wants all rows in a file
// before it writes the first byte, and would be native code in the process that answers requests.

import { constants, zstdCompressSync } from 'node:zlib'
import { ByteWriter, ParquetWriter, type SchemaElement } from 'hyparquet-writer'

/** What stands in a cell; a time is a Date. Null only where the column may be empty. */
export type ParquetValue = string | number | Date | null

export interface ParquetColumn {
  name: string
  /** integer: 64 bits; time: milliseconds in UTC. */
  type: 'text' | 'integer' | 'time'
  optional?: true
}

const types = {
  text: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  integer: { type: 'INT64' },
  time: {
    type: 'INT64',
    converted_type: 'TIMESTAMP_MILLIS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
  },
} as const satisfies Record<ParquetColumn['type'], Partial<SchemaElement>>
const compress = (bytes: Uint8Array): Uint8Array =>
  zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } })

/** The file, piece by piece. Each page, an array of rows with a value per column, becomes a row group. */
export async function* writeParquet(
  columns: readonly ParquetColumn[],
  pages: AsyncIterable<readonly (readonly ParquetValue[])[]>,
): AsyncGenerator<Uint8Array> {
  const bytes = new ByteWriter()
  const writer = new ParquetWriter({
    writer: bytes,
    schema: [
      { name: 'root', num_children: columns.length },
      ...columns.map(({ name, type, optional }) => ({
        name,
        repetition_type: optional ? ('OPTIONAL' as const) : ('REQUIRED' as const),
        ...types[type],
      })),
    ],
    codec: 'ZSTD',
    compressors: { ZSTD: compress },
    createdBy: 'millrace',
  })
  for await (const rows of pages) {
    await writer.write({
      columnData: columns.map(({ name }, index) => ({
        name,
        data: rows.map((row) => toCell(row[index] ?? null)),
        offsetIndex: false,
      })),
      rowGroupSize: Math.max(1, rows.length),
    })
    yield take(bytes)
  }
  await writer.finish()
  yield take(bytes)
}

/** The driver of the database gives 64-bit numbers as numbers, the library wants them big. */
const toCell = (value: ParquetValue) => (typeof value === 'number' ? BigInt(value) : value)

/** What has been written since the last time; positions in the file go on. */
function take(bytes: ByteWriter): Uint8Array {
  const taken = bytes.getBytes().slice()
  bytes.index = 0
  return taken
}
