// document.render: the pages of a PDF as images.

import { Type } from 'typebox'
import { pageRange } from '../page-range.ts'
import { defineProcessor } from '../processor.ts'

/** More pages than this are left out, and the result says how many. */
export const renderedPagesCountMax = 500

export const documentRender = defineProcessor({
  name: 'document.render',
  stage: 'transform',
  version: 2,
  summary: 'Draws the pages of a PDF as PNG, JPEG or WebP, one image per page.',
  accepts: ['application/pdf'],
  parameters: Type.Object(
    {
      pages: pageRange('Pages to draw, at most 500.', '1-20'),
      dpi: Type.Integer({
        minimum: 20,
        maximum: 600,
        default: 150,
        description: 'Pixels per inch. Of pages that would exceed 40 megapixels it is lowered.',
      }),
      format: Type.Enum(['png', 'jpeg', 'webp'], { default: 'png', description: 'Format of the images.' }),
      quality: Type.Integer({ minimum: 1, maximum: 100, default: 82, description: 'Of JPEG and WebP.' }),
    },
    { additionalProperties: false },
  ),
  limits: {
    memoryBytes: 1536 * 1024 ** 2,
    timeoutMs: 300_000,
    outputBytesMax: 4 * 1024 ** 3,
    outputFilesMax: renderedPagesCountMax,
  },
  costClass: 'L',
  cost: { baseMs: 300, perMbMs: 100 },
  isolation: 'warm',
})
