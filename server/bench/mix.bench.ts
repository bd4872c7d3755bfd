// P11: how many files an hour one processor core takes end to end, with the pipeline that each type has by default. Of ten
// files four are photos (3 megapixels), two tables of a thousand rows, two texts, one PDF of three pages and one document.

import * as images from '../../test/fixtures/images.ts'
import { docx } from '../../test/fixtures/office.ts'
import { makePdf } from '../../test/fixtures/pdf.ts'
import { csv, sales } from '../../test/fixtures/tables.ts'
import { prose, utf8 } from '../../test/fixtures/texts.ts'
import type { Benchmark, Row } from './benchmark.ts'
import { openMeasuredHouse, percentile } from './house/measured-house.ts'

const warmUpCount = 10
const atOnce = 4
const promisedPerHour = 10_000

export const benchmark: Benchmark = {
  name: 'mix',
  summary: 'files an hour per core for a mix of photos, tables, texts, PDFs and documents, end to end',
  async run({ full }) {
    const files = await makeMix(warmUpCount + (full ? 1_000 : 200))
    const house = await openMeasuredHouse()
    try {
      await house.run(files.slice(0, warmUpCount), atOnce)
      const { filesCount, seconds, cpuSeconds, latenciesMs } = await house.run(files.slice(warmUpCount), atOnce)
      const perCoreHour = Math.round((filesCount / cpuSeconds) * 3_600)
      const row: Row = {
        files: filesCount,
        cpu_ms_per_file: Math.round((cpuSeconds * 1_000) / filesCount),
        files_per_core_hour: perCoreHour,
        times_promised: Math.round((perCoreHour / promisedPerHour) * 10) / 10,
        files_per_hour_here: Math.round((filesCount / seconds) * 3_600),
        p50_ms: percentile(latenciesMs, 50),
        p99_ms: percentile(latenciesMs, 99),
      }
      return {
        rows: [row],
        notes: [
          `files_per_core_hour: an hour of processor time by that of all processes per file (${house.timeSource}); files_per_hour_here: with what this machine had left.`,
        ],
      }
    } finally {
      await house.close()
    }
  },
}

/** Each with its own name and content, so that nothing is done once for several. */
async function makeMix(count: number): Promise<{ name: string; bytes: Uint8Array }[]> {
  const pictures: Buffer[] = []
  for (let seed = 0; seed < 20; seed++) pictures.push(await images.phoneJpeg({ width: 2_048, height: 1_536, seed }, 1))
  return Array.from({ length: count }, (_, n) => {
    const words = `${prose.join('\n\n')}\n\n${n}`
    switch (n % 10) {
      case 4:
      case 5:
        return { name: `table-${n}.csv`, bytes: utf8(csv(sales(1_000, n))) }
      case 6:
      case 7:
        return { name: `text-${n}.txt`, bytes: utf8(words) }
      case 8:
        return {
          name: `pages-${n}.pdf`,
          bytes: makePdf([1, 2, 3].map((page) => ({ lines: [`Page ${page} of ${n}`, ...prose] }))),
        }
      case 9:
        return { name: `document-${n}.docx`, bytes: docx([...prose, String(n)]) }
      default:
        return {
          name: `photo-${n}.jpg`,
          bytes: Buffer.concat([pictures[n % pictures.length] ?? Buffer.alloc(0), Buffer.from(`#${n}`)]),
        }
    }
  })
}
