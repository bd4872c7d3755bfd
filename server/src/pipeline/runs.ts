// The work of every processor, loaded when it is asked for: a library that opens untrusted bytes is never loaded
// outside the process that runs it.

import type { SandboxedProcessor } from './processor.ts'
import type { ProcessorName } from './registry.ts'

type RunFile = { run: SandboxedProcessor }

export const runs = {
  'archive.create': () => import('./analyzer/archive-create.run.ts'),
  'archive.extract': () => import('./transformer/archive-extract.run.ts'),
  'archive.tier': () => import('./archiver/archive-tier.run.ts'),
  'classify.rules': () => import('./analyzer/classify-rules.run.ts'),
  'data.convert': () => import('./transformer/data-convert.run.ts'),
  'data.profile': () => import('./analyzer/data-profile.run.ts'),
  'data.union': () => import('./analyzer/data-union.run.ts'),
  'data.validate': () => import('./validator/data-validate.run.ts'),
  'document.render': () => import('./transformer/document-render.run.ts'),
  'document.text': () => import('./analyzer/document-text.run.ts'),
  'file.collect': () => import('./collector/file-collect.run.ts'),
  'file.ingest': () => import('./validator/file-ingest.run.ts'),
  'file.manifest': () => import('./analyzer/file-manifest.run.ts'),
  'image.convert': () => import('./transformer/image-convert.run.ts'),
  'image.metadata': () => import('./analyzer/image-metadata.run.ts'),
  'image.thumbnail': () => import('./transformer/image-thumbnail.run.ts'),
  'media.probe': () => import('./analyzer/media-probe.run.ts'),
  'ocr.text': () => import('./analyzer/ocr-text.run.ts'),
  'report.pdf': () => import('./analyzer/report-pdf.run.ts'),
  'search.index': () => import('./indexer/search-index.run.ts'),
  'text.encoding': () => import('./transformer/text-encoding.run.ts'),
  'text.join': () => import('./analyzer/text-join.run.ts'),
  'text.language': () => import('./analyzer/text-language.run.ts'),
  'text.pii': () => import('./analyzer/text-pii.run.ts'),
} satisfies Record<ProcessorName, () => Promise<RunFile>>
