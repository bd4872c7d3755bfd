// Typst: typesets a report in tens of milliseconds, Apache-2.0, its fonts inside, where a browser would take a second
// and 200 MB. Its template is ours and fixed; it is given texts only as data, reads them from memory, and has an empty
// folder for a root.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NodeCompiler } from '@myriaddreamin/typst-ts-node-compiler'
import { defineRun } from '../processor-run.ts'
import { done } from '../processor.ts'
import { reportPdf } from './report-pdf.ts'
import { reportModel } from './report/report-model.ts'

const template = new URL('report/report.typ', import.meta.url)
const name = 'analysis_report.pdf'

/** Output: analysis_report.pdf. Result: { kind: 'report', pages_count }, which is also recordsCount. */
export const run = defineRun(reportPdf, async ({ parameters, outputFolder, scratchFolder, ...rest }) => {
  const root = join(scratchFolder, 'report')
  await mkdir(root, { recursive: true })
  const model = reportModel(rest, parameters, new Date())
  const compiler = NodeCompiler.create({ workspace: root })
  compiler.mapShadow(join(root, 'model.json'), Buffer.from(JSON.stringify(model)))
  const compiled = compiler.compile({ mainFileContent: await readFile(template, 'utf8') })
  const document = compiled.result
  if (document === null)
    throw new Error(`The report cannot be typeset: ${JSON.stringify(compiled.takeError()?.shortDiagnostics)}`)
  await writeFile(join(outputFolder, name), compiler.pdf(document))
  const pagesCount = document.numOfPages
  // What was typeset is kept for all compilers of the process, but no two reports are alike.
  compiler.evictCache(0)
  const outputs = [{ path: name, name, contentType: 'application/pdf' }]
  return done(outputs, { kind: 'report', pages_count: pagesCount }, { recordsCount: pagesCount })
})
