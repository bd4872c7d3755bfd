import { decodeId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import type { RouteGroup } from '../platform/routes.ts'
import { receiveForm, type FormUploadDependencies } from './form-upload.ts'

/** The operations that take bytes. */
export function uploadRoutes(deps: FormUploadDependencies): RouteGroup<'uploadFile' | 'uploadFileVersion'> {
  return {
    uploadFile: (_, context) => receiveForm(deps, context),
    uploadFileVersion: async ({ params }, context) => {
      const fileId = decodeId('file', params.file_id)
      if (fileId === undefined) throw new Problem('not_found')
      return receiveForm(deps, context, fileId)
    },
  }
}
