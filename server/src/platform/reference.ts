// Addresses in answers. The server does not know where it stands for its clients (host, port, a path that a proxy takes
// away), so it names a place as a reference relative to the URL that was asked, as `Location` of an upload is.

import { operations, type OperationId } from '@millrace/contract'

/**
 * What an answer of the operation calls a path below /api/v1, e.g. ../../links/…: resolved against the URL of the request
 * it arrives behind every proxy.
 */
export function referenceFrom(op: OperationId, path: string): string {
  // A path begins with a slash, and what stands after its last one is not a folder.
  const foldersCount = operations[op].path.split('/').length - 2
  return '../'.repeat(foldersCount) + path
}
