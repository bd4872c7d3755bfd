// report.pdf: what the steps before found out, as a document for people.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

export const reportPdf = defineProcessor({
  name: 'report.pdf',
  stage: 'analyze',
  version: 1,
  summary:
    'Writes analysis_report.pdf from the results of the steps before: checks with their first bad rows, columns, charts, and everything else that was told.',
  accepts: ['*/*'],
  parameters: Type.Object(
    {
      title: Type.String({
        minLength: 1,
        maxLength: 200,
        default: 'Analysis report',
        description: 'Above the report.',
      }),
      charts_max: Type.Integer({ minimum: 0, maximum: 60, default: 24, description: 'Columns drawn as charts.' }),
      paper: Type.Enum(['a4', 'us-letter'], { default: 'a4', description: 'Size of the pages.' }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 60_000, outputBytesMax: 64 * 1024 ** 2, outputFilesMax: 1 },
  costClass: 'L',
  cost: { baseMs: 250, perMbMs: 0 },
  isolation: 'warm',
  joins: true,
})
