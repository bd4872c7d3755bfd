import type { Lane } from '@millrace/contract'
import { declaredTypeOf } from './declared-type.ts'
import type { UploadFields } from './form.ts'

/** What the body of a JSON operation says of the file that is to come. */
export interface AboutFile {
  pipeline?: string
  metadata?: Record<string, unknown>
  priority?: Lane
  sha256?: string
  file_id?: string
  content_type?: string
}

export function aboutFile({ pipeline, metadata, priority, sha256, file_id: fileId, ...about }: AboutFile): {
  fields: UploadFields
  fileId?: string
} {
  const declaredType = declaredTypeOf(about.content_type)
  const fields: UploadFields = {
    ...(declaredType !== undefined && { declaredType }),
    ...(pipeline !== undefined && { pipeline }),
    ...(metadata !== undefined && { metadata }),
    ...(priority !== undefined && { lane: priority }),
    ...(sha256 !== undefined && { sha256: sha256.toLowerCase() }),
  }
  return { fields, ...(fileId !== undefined && { fileId }) }
}
