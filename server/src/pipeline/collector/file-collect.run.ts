import { defineRun } from '../processor-run.ts'
import { done } from '../processor.ts'
import { fileCollect } from './file-collect.ts'

/**
 * Opens no byte. Result: { kind: 'receipt', name, size_bytes, sha256, content_type, metadata, arrived_in,
 * archive_depth }; arrived_in is archive for a member that a job before has unpacked.
 */
export const run = defineRun(fileCollect, async ({ file }) =>
  done([], {
    kind: 'receipt',
    name: file.name,
    size_bytes: file.sizeBytes,
    sha256: file.sha256,
    content_type: file.contentType,
    metadata: file.metadata,
    arrived_in: file.depth === 0 ? 'upload' : 'archive',
    archive_depth: file.depth,
  }),
)
