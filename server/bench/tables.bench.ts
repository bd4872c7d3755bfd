// P2: a table of a million rows and a heap of PDFs end to end, against DuckDB and poppler doing the same work bare.

import { execFile, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { makePdf } from '../../test/fixtures/pdf.ts'
import { csv, sales } from '../../test/fixtures/tables.ts'
import { prose, utf8 } from '../../test/fixtures/texts.ts'
import type { Benchmark, Row } from './benchmark.ts'
import { openMeasuredHouse, percentile, reportOf, type BareReport } from './house/measured-house.ts'

const run = promisify(execFile)
/** MILLRACE_BENCH_ROWS and MILLRACE_BENCH_PDFS make it smaller for a look. */
const rowsCount = Number(process.env['MILLRACE_BENCH_ROWS'] ?? 1_000_000)
const pdfsCount = Number(process.env['MILLRACE_BENCH_PDFS'] ?? 500)
const pagesCount = 5
const pdftotext = '/usr/bin/pdftotext'

export const benchmark: Benchmark = {
  name: 'tables',
  summary: `CSV of ${rowsCount} rows to Parquet, CSV, profile and report, against bare DuckDB; ${pdfsCount} PDFs, against pdftotext`,
  async run() {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'millrace-bench-tables-'))
    const house = await openMeasuredHouse()
    try {
      await house.run([{ name: 'warm.csv', bytes: utf8(csv(sales(100))) }, pdfOf(-1)], 2)
      const table = { name: 'large.csv', bytes: utf8(csv(sales(rowsCount))) }
      await writeFile(path.join(folder, table.name), table.bytes)
      const bareTable = await bareDuckdb(path.join(folder, table.name), folder)
      const ourTable = await house.run([table], 1)
      const pdfs = Array.from({ length: pdfsCount }, (_, index) => pdfOf(index))
      const barePdfs = await barePoppler(folder, pdfs)
      const ourPdfs = await house.run(pdfs, 4)
      const rows: Row[] = [
        rowOf('csv', 'bare DuckDB', bareTable),
        { ...rowOf('csv', 'millrace', ourTable), cpu_ratio: round(ourTable.cpuSeconds / bareTable.cpuSeconds, 2) },
        ...(barePdfs ? [rowOf('pdf', 'pdftotext', barePdfs)] : []),
        {
          ...rowOf('pdf', 'millrace', ourPdfs),
          ...(barePdfs && { cpu_ratio: round(ourPdfs.cpuSeconds / barePdfs.cpuSeconds, 2) }),
          p50_ms: percentile(ourPdfs.latenciesMs, 50),
        },
      ]
      return { rows, notes: barePdfs ? [] : [`pdftotext is not at ${pdftotext}: PDFs without their peer`] }
    } finally {
      await house.close()
      await rm(folder, { recursive: true, force: true })
    }
  },
}

const pdfOf = (index: number) => ({
  name: `document-${index}.pdf`,
  bytes: makePdf(
    Array.from({ length: pagesCount }, (_, page) => ({ lines: [`Document ${index}, page ${page + 1}`, ...prose] })),
  ),
})

async function bareDuckdb(file: string, folder: string): Promise<BareReport> {
  const child = fork(new URL('tables/bare.ts', import.meta.url), [file, folder])
  return reportOf(child)
}

/** One program per file, as a worker without a platform would run it. */
async function barePoppler(
  folder: string,
  pdfs: readonly { name: string; bytes: Buffer }[],
): Promise<BareReport | undefined> {
  if (!existsSync(pdftotext)) return undefined
  const files: string[] = []
  for (const { name, bytes } of pdfs) {
    files.push(path.join(folder, name))
    await writeFile(path.join(folder, name), bytes)
  }
  const startMs = performance.now()
  const list = path.join(folder, 'list')
  await writeFile(list, files.join('\n'))
  // The shell's own count of what its children took.
  const { stdout } = await run('bash', [
    '-c',
    `while read -r f; do ${pdftotext} "$f" "$f.txt"; done < "$1"; times`,
    'bash',
    list,
  ])
  const seconds = (performance.now() - startMs) / 1_000
  const children = stdout.trim().split('\n').at(-1) ?? ''
  const cpuSeconds = [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, rest]) => sum + Number(minutes) * 60 + Number(rest),
    0,
  )
  return { cpuSeconds, seconds }
}

const rowOf = (what: string, side: string, { cpuSeconds, seconds }: BareReport): Row => ({
  what,
  side,
  cpu_s: round(cpuSeconds, 2),
  seconds: round(seconds, 2),
})

const round = (value: number, digits = 0): number => Math.round(value * 10 ** digits) / 10 ** digits
