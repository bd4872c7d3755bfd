// pipeline/ owns what can be done to a file: one description and one run file per processor, in the folder of its stage.
// It must not know jobs, retries or who asks; a processor is given files and parameters and gives files and a result.
// Invariant: a description is light and loaded everywhere; what opens bytes is behind runs.ts, loaded where it may run.
//
// This file: every processor there is. A new one gets its line here and, the compiler insists, in runs.ts.

import { archiveCreate } from './analyzer/archive-create.ts'
import { classifyRules } from './analyzer/classify-rules.ts'
import { dataProfile } from './analyzer/data-profile.ts'
import { dataUnion } from './analyzer/data-union.ts'
import { documentText } from './analyzer/document-text.ts'
import { fileManifest } from './analyzer/file-manifest.ts'
import { imageMetadata } from './analyzer/image-metadata.ts'
import { mediaProbe } from './analyzer/media-probe.ts'
import { ocrText } from './analyzer/ocr-text.ts'
import { reportPdf } from './analyzer/report-pdf.ts'
import { textJoin } from './analyzer/text-join.ts'
import { textLanguage } from './analyzer/text-language.ts'
import { textPii } from './analyzer/text-pii.ts'
import { archiveTier } from './archiver/archive-tier.ts'
import { fileCollect } from './collector/file-collect.ts'
import { searchIndex } from './indexer/search-index.ts'
import { archiveExtract } from './transformer/archive-extract.ts'
import { dataConvert } from './transformer/data-convert.ts'
import { documentRender } from './transformer/document-render.ts'
import { imageConvert } from './transformer/image-convert.ts'
import { imageThumbnail } from './transformer/image-thumbnail.ts'
import { textEncoding } from './transformer/text-encoding.ts'
import { dataValidate } from './validator/data-validate.ts'
import { fileIngest } from './validator/file-ingest.ts'
import type { Processor } from './processor.ts'

export const processors = {
  'archive.create': archiveCreate,
  'archive.extract': archiveExtract,
  'archive.tier': archiveTier,
  'classify.rules': classifyRules,
  'data.convert': dataConvert,
  'data.profile': dataProfile,
  'data.union': dataUnion,
  'data.validate': dataValidate,
  'document.render': documentRender,
  'document.text': documentText,
  'file.collect': fileCollect,
  'file.ingest': fileIngest,
  'file.manifest': fileManifest,
  'image.convert': imageConvert,
  'image.metadata': imageMetadata,
  'image.thumbnail': imageThumbnail,
  'media.probe': mediaProbe,
  'ocr.text': ocrText,
  'report.pdf': reportPdf,
  'search.index': searchIndex,
  'text.encoding': textEncoding,
  'text.join': textJoin,
  'text.language': textLanguage,
  'text.pii': textPii,
} satisfies Record<string, Processor>

export type ProcessorName = keyof typeof processors
