// Where an imported file comes from, as its session keeps it, and what opening it gives. How each kind of origin is opened
// is in a file of its own; the importer knows no more than this.

import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { Problem } from '../../platform/problem.ts'
import { SealedSecret } from '../../storage/tenant-secret.ts'

export const importOriginKinds = ['url', 's3', 'sftp', 'folder'] as const
export type ImportOriginKind = (typeof importOriginKinds)[number]

const ImportOrigin = Type.Object({
  kind: Type.Enum([...importOriginKinds]),
  /** For people: without credentials, queries and whatever else may be secret. */
  shown: Type.String(),
  /** The owner has named the file; else it is named by what the origin says. */
  named: Type.Boolean(),
  /** The owner has said of what type it is; else it is taken for what the origin says. */
  typed: Type.Optional(Type.Boolean()),
  /** Everything that is needed to open it; gone once the session has ended. */
  secret: Type.Optional(SealedSecret),
  /** Tells one state of the file from the next: what has been read of one must not be continued with another. */
  validator: Type.Optional(Type.String()),
})
export type ImportOrigin = Static<typeof ImportOrigin>

const importOrigin = Compile(ImportOrigin)

/** Throws Problem('internal') for a row that no release has written. */
export function parseImportOrigin(stored: unknown): ImportOrigin {
  if (!importOrigin.Check(stored))
    throw new Problem('internal', { detail: 'The origin of the import is not readable.' })
  return stored
}

/** A file that is being read. */
export interface OpenedFile {
  /** Where the content begins: as asked for when the file is still the one of the validator, else 0. */
  offsetBytes: number
  /** Length of the whole file, when it is told. */
  sizeBytes: number | undefined
  /** As the origin names it; undefined when it does not. */
  name: string | undefined
  /** What the origin says that it is; left out when it says nothing. */
  declaredType?: string | undefined
  /** Undefined when there is nothing by which it could be continued. */
  validator: string | undefined
  content: AsyncIterable<Uint8Array>
  /** Lets go of a content that will not be read. */
  dispose: () => void
}

export interface OpenFile {
  /** What was sealed when the import was begun. */
  secret: unknown
  /** To go on from here, if the validator still holds. */
  offsetBytes: number
  validator: string | undefined
  signal: AbortSignal
}

/** Throws import_url_forbidden and import_refused, which end the import, and import_source_unavailable, which does not. */
export type FileOpener = (open: OpenFile) => Promise<OpenedFile>

/** A file that a place has, as looking through it finds it. */
export interface FoundFile {
  /** Names it within the place. */
  key: string
  /** Changes whenever the file does. */
  fingerprint: string
  name: string
  /** For people. */
  shown: string
  /** What its opener needs; sealed before it is stored. */
  secret: unknown
}

export interface FoundPage {
  files: FoundFile[]
  /** Entries that could not be understood or read, since the page before. */
  skippedCount?: number
  /** Where another look goes on after this page; undefined when it has to begin anew. */
  cursor: string | undefined
}

export interface ListPlace {
  /** Settings and credentials of the place. */
  place: unknown
  after: string | undefined
  signal: AbortSignal
}

/** All files of a place, page by page. Throws like an opener. */
export type PlaceLister = (list: ListPlace) => AsyncIterable<FoundPage>
