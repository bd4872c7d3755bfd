// Read by DuckDB, which knows nothing of how it was written.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import { DuckDBInstance, type Json } from '@duckdb/node-api'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { writeParquet, type ParquetColumn, type ParquetValue } from './parquet.ts'

const columns: ParquetColumn[] = [
  { name: 'number', type: 'integer' },
  { name: 'word', type: 'text', optional: true },
  { name: 'at', type: 'time', optional: true },
]
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-parquet-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function rowsOf(pages: ParquetValue[][][]): Promise<Record<string, Json>[]> {
  const file = path.join(folder, 'table.parquet')
  await writeFile(file, await buffer(Readable.from(writeParquet(columns, Readable.from(pages)))))
  const instance = await DuckDBInstance.create()
  const connection = await instance.connect()
  try {
    return (await connection.runAndReadAll(`select * from '${file}'`)).getRowObjectsJson()
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

it('writes what another reader reads, cell by cell', async () => {
  const at = new Date('2026-11-25T10:20:30.456Z')
  expect(
    await rowsOf([
      [
        [1, 'größer, "so"\r\n', at],
        [Number.MAX_SAFE_INTEGER, null, null],
        [0, '', null],
      ],
      [[-5, '日本', at]],
    ]),
  ).toEqual([
    { number: '1', word: 'größer, "so"\r\n', at: '2026-11-25 10:20:30.456+00' },
    { number: String(Number.MAX_SAFE_INTEGER), word: null, at: null },
    { number: '0', word: '', at: null },
    { number: '-5', word: '日本', at: '2026-11-25 10:20:30.456+00' },
  ])
})

it('writes many row groups, and long ones', async () => {
  const pages = Array.from({ length: 40 }, (_, page) =>
    Array.from({ length: 1_001 }, (_, row): ParquetValue[] => [page, row % 3 === 0 ? null : `row ${row}`, null]),
  )
  const rows = await rowsOf(pages)
  expect(rows).toHaveLength(40 * 1_001)
  expect(rows.at(-1)).toEqual({ number: '39', word: 'row 1000', at: null })
  expect(rows.filter(({ word }) => word === null)).toHaveLength(40 * 334)
})

it('writes a table without rows, and refuses an empty cell where there must be none', async () => {
  expect(await rowsOf([])).toEqual([])
  expect(await rowsOf([[]])).toEqual([])
  await expect(rowsOf([[[null, 'a', null]]])).rejects.toThrow('null')
})
