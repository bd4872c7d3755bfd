// ocr.text: the text in an image, by tesseract.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

export const ocrText = defineProcessor({
  name: 'ocr.text',
  stage: 'analyze',
  version: 1,
  summary: 'Reads the text in an image, e.g. of a scanned page drawn by document.render, by tesseract.',
  accepts: ['image/png', 'image/jpeg', 'image/webp', 'image/tiff', 'image/gif', 'image/avif'],
  parameters: Type.Object(
    {
      languages: Type.Array(
        Type.String({
          pattern: '^[a-z]{3}(?:_[A-Za-z]{3,8})?$',
          description: 'As tesseract names it: eng, deu, chi_sim.',
        }),
        { minItems: 1, maxItems: 8, default: ['eng'], description: 'Languages of the text.' },
      ),
      psm: Type.Enum([1, 3, 4, 6, 7, 11, 12], {
        default: 3,
        description:
          'How the page is divided: 3 by itself, 1 with its orientation, 4 one column, 6 one block, 7 one line, 11 or 12 text anywhere.',
      }),
      hocr: Type.Boolean({ default: true, description: 'Also writes where each word stands (hOCR).' }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1024 ** 3, timeoutMs: 180_000, outputBytesMax: 64 * 1024 ** 2, outputFilesMax: 2 },
  costClass: 'L',
  cost: { baseMs: 1_700, perMbMs: 0 },
  isolation: 'cli',
  programs: ['tesseract'],
})
