// What somebody says of a place to take files from, checked before it is stored.

import type { BodyOf, ImportSourceKind } from '@millrace/contract'
import type { Principal } from '../../platform/principal.ts'
import { Problem } from '../../platform/problem.ts'
import type { AddressRules } from './address-rules.ts'
import { checkFolder, type FolderPlace } from './folder-place.ts'
import { findUrlFault } from './guarded-fetch.ts'
import type { S3Place } from './s3-place.ts'
import { checkSftpPlace, type SftpPlace } from './sftp-place.ts'

export interface CheckedPlace {
  kind: ImportSourceKind
  /** Settings and credentials, to be sealed. */
  place: S3Place | SftpPlace | FolderPlace
  /** For people. */
  shown: string
}

export interface PlaceRules {
  rules: AddressRules
  folderRoots: readonly string[]
}

/** Throws invalid_request, import_url_forbidden, and forbidden for a folder that somebody else than the operator names. */
export async function checkPlace(
  { s3, sftp, folder }: Pick<BodyOf<'createImportSource'>, 's3' | 'sftp' | 'folder'>,
  { rules, folderRoots }: PlaceRules,
  principal: Principal,
): Promise<CheckedPlace> {
  if ([s3, sftp, folder].filter((place) => place !== undefined).length !== 1)
    throw new Problem('invalid_request', { detail: 'Exactly one of s3, sftp and folder is needed.' })
  if (s3 !== undefined) {
    if (s3.endpoint !== undefined) checkEndpoint(s3.endpoint, rules)
    const place = { region: 'us-east-1', prefix: '', ...s3 }
    const { bucket, inventory, inventory_bucket: inventoryBucket = bucket } = place
    const by = inventory === undefined ? '' : ` by s3://${inventoryBucket}/${inventory}`
    return { kind: 's3', place, shown: `s3://${bucket}/${place.prefix}${by}` }
  }
  if (sftp !== undefined) {
    const place = checkSftpPlace(sftp, rules)
    return { kind: 'sftp', place, shown: `sftp://${place.host}:${place.port}${place.folder}` }
  }
  // The files of this machine belong to nobody but who runs it.
  if (!principal.operator)
    throw new Problem('forbidden', { detail: 'Only the operator may have folders of the server watched.' })
  const place = { folder: await checkFolder(folder ?? '', folderRoots) }
  return { kind: 'folder', place, shown: place.folder }
}

function checkEndpoint(endpoint: string, rules: AddressRules): void {
  if (!URL.canParse(endpoint)) throw new Problem('invalid_request', { detail: 'endpoint is not a URL.' })
  const fault = findUrlFault(new URL(endpoint), rules)
  if (fault !== undefined) throw new Problem('import_url_forbidden', { detail: fault })
}
