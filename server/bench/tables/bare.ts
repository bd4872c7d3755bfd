// The peer of tables.bench.ts: DuckDB alone, one thread, doing to a CSV file what the platform's table pipeline does: to
// Parquet, to CSV again, and a summary of every column.

import path from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'

const [inputFile = '', outputFolder = '', threads = '2'] = process.argv.slice(2)
const started = performance.now()
const instance = await DuckDBInstance.create(':memory:', { threads })
const connection = await instance.connect()
const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`
await connection.run(`create table input as select * from read_csv(${quote(inputFile)})`)
await connection.run(
  `copy input to ${quote(path.join(outputFolder, 'out.parquet'))} (format parquet, compression zstd)`,
)
await connection.run(`copy input to ${quote(path.join(outputFolder, 'out.csv'))} (format csv, header)`)
await connection.run('create table profile as select * from (summarize input)')
connection.closeSync()
instance.closeSync()
const { user, system } = process.cpuUsage()
process.send?.({ cpuSeconds: (user + system) / 1e6, seconds: (performance.now() - started) / 1_000 })
process.disconnect?.()
