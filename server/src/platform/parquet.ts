// Writes tables as Apache Parquet while their rows come in: a row group per page, one zstd page per column, then the footer.
// Memory holds one page. DuckDB, which reads and writes tables in the sandbox, wants all rows in a file before it writes
// the first byte, and would be native code in the process that answers requests.
// https://parquet.apache.org/docs/file-format/ and parquet.thrift (1.0 features only, which every reader knows).

import { promisify } from 'node:util'
import { constants, zstdCompress } from 'node:zlib'

/** What stands in a cell; a time is a Date. Null only where the column may be empty. */
export type ParquetValue = string | number | Date | null

export interface ParquetColumn {
  name: string
  /** integer: 64 bits; time: milliseconds in UTC. */
  type: 'text' | 'integer' | 'time'
  optional?: true
}

const compress = promisify(zstdCompress)
const compression = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

const magic = Buffer.from('PAR1')
const physicalTypes = { integer: 2, time: 2, text: 6 } as const
const convertedTypes = { integer: undefined, time: 9, text: 0 } as const
const plainEncoding = 0
const rleEncoding = 3
const zstdCodec = 6

interface Chunk {
  offset: number
  valuesCount: number
  /** With the header of the page. */
  plainBytes: number
  storedBytes: number
}

/** The file, piece by piece. Each page, an array of rows with a value per column, becomes a row group. */
export async function* writeParquet(
  columns: readonly ParquetColumn[],
  pages: AsyncIterable<readonly (readonly ParquetValue[])[]>,
): AsyncGenerator<Buffer> {
  const groups: { rowsCount: number; chunks: Chunk[] }[] = []
  let at = magic.length
  yield magic
  for await (const rows of pages) {
    if (rows.length === 0) continue
    const chunks: Chunk[] = []
    for (const [index, column] of columns.entries()) {
      const values = rows.map((row) => row[index] ?? null)
      const plain = toPlain(column, values)
      const stored = await compress(plain, compression)
      const header = pageHeader(values.length, plain.length, stored.length)
      const storedBytes = header.length + stored.length
      chunks.push({ offset: at, valuesCount: values.length, plainBytes: header.length + plain.length, storedBytes })
      at += storedBytes
      yield header
      yield stored
    }
    groups.push({ rowsCount: rows.length, chunks })
  }
  const footer = toFooter(columns, groups)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(footer.length)
  yield Buffer.concat([footer, length, magic])
}

function toPlain({ type, optional, name }: ParquetColumn, values: readonly ParquetValue[]): Buffer {
  const present = values.filter((value) => value !== null)
  if (!optional && present.length < values.length) throw new TypeError(`Column ${name} has an empty cell`)
  const levels = optional ? [toLevels(values)] : []
  if (type === 'text') {
    const texts = present.map((value) => Buffer.from(String(value)))
    return Buffer.concat([...levels, ...texts.flatMap((text) => [uint32(text.length), text])])
  }
  const numbers = Buffer.alloc(present.length * 8)
  for (const [index, value] of present.entries()) numbers.writeBigInt64LE(BigInt(Number(value)), index * 8)
  return Buffer.concat([...levels, numbers])
}

/** Which cells are filled: one bit each, in one bit-packed run with its length before it. */
function toLevels(values: readonly ParquetValue[]): Buffer {
  const bytesCount = Math.ceil(values.length / 8)
  const bits = Buffer.alloc(bytesCount)
  for (const [index, value] of values.entries()) {
    if (value !== null) bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7))
  }
  const run = Buffer.concat([varint((bytesCount << 1) | 1), bits])
  return Buffer.concat([uint32(run.length), run])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

// Thrift's compact protocol, as much of it as the structures of Parquet need --------------------------------------

function varint(value: number): Buffer {
  const bytes: number[] = []
  let left = value
  while (left >= 0x80) {
    bytes.push((left % 0x80) | 0x80)
    left = Math.floor(left / 0x80)
  }
  return Buffer.from([...bytes, left])
}

type Field =
  | { i32: number }
  | { i64: number }
  | { text: string }
  | { flag: true }
  | { struct: Fields }
  | { list: readonly ({ i32: number } | { text: string } | { struct: Fields })[] }
/** By the ids of parquet.thrift; what is undefined is left out. Numbers are never negative here. */
type Fields = Readonly<Record<number, Field | undefined>>

const typeOf = (field: Field): number =>
  'flag' in field ? 1 : 'i32' in field ? 5 : 'i64' in field ? 6 : 'text' in field ? 8 : 'list' in field ? 9 : 12

function toBody(field: Field): Buffer {
  if ('flag' in field) return Buffer.alloc(0) // Its type says it.
  if ('i32' in field) return varint(field.i32 * 2) // Zigzag.
  if ('i64' in field) return varint(field.i64 * 2)
  if ('struct' in field) return toStruct(field.struct)
  if ('text' in field) {
    const text = Buffer.from(field.text)
    return Buffer.concat([varint(text.length), text])
  }
  const [first] = field.list
  const type = first === undefined ? 12 : typeOf(first)
  const { length } = field.list
  const head =
    length < 15 ? Buffer.from([(length << 4) | type]) : Buffer.concat([Buffer.from([0xf0 | type]), varint(length)])
  return Buffer.concat([head, ...field.list.map(toBody)])
}

function toStruct(fields: Fields): Buffer {
  const parts: Buffer[] = []
  let before = 0
  for (const [key, field] of Object.entries(fields)) {
    if (field === undefined) continue
    const id = Number(key)
    parts.push(Buffer.from([((id - before) << 4) | typeOf(field)]), toBody(field))
    before = id
  }
  return Buffer.concat([...parts, Buffer.from([0])])
}

const pageHeader = (valuesCount: number, plainBytes: number, storedBytes: number): Buffer =>
  toStruct({
    1: { i32: 0 }, // A data page.
    2: { i32: plainBytes },
    3: { i32: storedBytes },
    5: {
      struct: { 1: { i32: valuesCount }, 2: { i32: plainEncoding }, 3: { i32: rleEncoding }, 4: { i32: rleEncoding } },
    },
  })

/** The logical type of a time: milliseconds, and no time of some place. */
const inUtc = { struct: { 8: { struct: { 1: { flag: true }, 2: { struct: { 1: { struct: {} } } } } } } } as const

function toFooter(
  columns: readonly ParquetColumn[],
  groups: readonly { rowsCount: number; chunks: readonly Chunk[] }[],
): Buffer {
  const root = { struct: { 4: { text: 'table' }, 5: { i32: columns.length } } }
  const elements = columns.map(({ name, type, optional }) => {
    const converted = convertedTypes[type]
    return {
      struct: {
        1: { i32: physicalTypes[type] },
        3: { i32: optional ? 1 : 0 },
        4: { text: name },
        6: converted === undefined ? undefined : { i32: converted },
        10: type === 'time' ? inUtc : undefined,
      },
    }
  })
  return toStruct({
    1: { i32: 1 },
    2: { list: [root, ...elements] },
    3: { i64: groups.reduce((sum, { rowsCount }) => sum + rowsCount, 0) },
    4: { list: groups.map(({ rowsCount, chunks }) => ({ struct: toRowGroup(columns, rowsCount, chunks) })) },
    6: { text: 'millrace' },
  })
}

const toRowGroup = (columns: readonly ParquetColumn[], rowsCount: number, chunks: readonly Chunk[]): Fields => ({
  1: {
    list: chunks.map(({ offset, valuesCount, plainBytes, storedBytes }, index) => {
      const { name = '', type = 'text' } = columns[index] ?? {}
      return {
        struct: {
          2: { i64: offset },
          3: {
            struct: {
              1: { i32: physicalTypes[type] },
              2: { list: [{ i32: plainEncoding }, { i32: rleEncoding }] },
              3: { list: [{ text: name }] },
              4: { i32: zstdCodec },
              5: { i64: valuesCount },
              6: { i64: plainBytes },
              7: { i64: storedBytes },
              9: { i64: offset },
            },
          },
        },
      }
    }),
  },
  2: { i64: chunks.reduce((sum, { plainBytes }) => sum + plainBytes, 0) },
  3: { i64: rowsCount },
})
