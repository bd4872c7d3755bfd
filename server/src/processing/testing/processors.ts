// A small catalogue for tests: a processor of each stage, with parameters of each kind.

import type { StageName } from '@millrace/contract'
import { Type, type TObject } from 'typebox'
import type { Catalogue, CatalogueEntry } from '../catalogue.ts'

const closed = { additionalProperties: false }

const entry = (
  name: string,
  stage: StageName,
  parameters: TObject = Type.Object({}, closed),
  more: Partial<CatalogueEntry> = {},
): CatalogueEntry => ({
  name,
  stage,
  version: 1,
  summary: `${name}.`,
  accepts: ['*/*'],
  parameters,
  limits: { memoryBytes: 1024 ** 2, timeoutMs: 60_000 },
  cost: { baseMs: 10, perMbMs: 1 },
  ...more,
})

const Pages = Type.Object(
  {
    dpi: Type.Integer({ minimum: 36, maximum: 600, default: 150 }),
    format: Type.Enum(['png', 'jpeg'], { default: 'png' }),
    pages: Type.Optional(Type.String({ maxLength: 100 })),
  },
  closed,
)
const Sizes = Type.Object(
  {
    sizes: Type.Array(Type.Integer({ minimum: 1 }), { minItems: 1, default: [320] }),
    crop: Type.Boolean({ default: false }),
  },
  closed,
)

export const testProcessors: Record<string, CatalogueEntry> = {
  'file.collect': entry('file.collect', 'collect'),
  'file.ingest': entry('file.ingest', 'validate'),
  'image.thumbnail': entry('image.thumbnail', 'transform', Sizes),
  'document.render': entry('document.render', 'transform', Pages),
  'document.text': entry('document.text', 'analyze'),
  'text.join': entry('text.join', 'analyze', undefined, { joins: true }),
  'search.index': entry('search.index', 'index'),
  'archive.tier': entry(
    'archive.tier',
    'archive',
    Type.Object({ class: Type.String({ default: 'standard' }) }, closed),
  ),
}

export const testCatalogue: Catalogue = {
  entries: Object.values(testProcessors),
  find: (name) => testProcessors[name],
}
