// Where the items of a batch come from, as column batch.source holds it.

import type { FileQuery, ManifestFormat } from '@millrace/contract'

export type BatchSource =
  /** Files up to the newest of the moment of the order, in the order of their ids. */
  | { kind: 'query'; query: FileQuery; upToFileId: number }
  /** The list came with the order and was entered with it. */
  | { kind: 'lines'; format: ManifestFormat }
  /** The list is the content of a file, in the version of the moment of the order. */
  | { kind: 'file'; format: ManifestFormat; fileId: number; objectId: string }
