// millrace import: the server fetches a file from a URL.

import { defineCommand } from '../command.ts'
import { usageFailure } from '../failure.ts'
import { tellUpload } from './uploads.ts'
import { readUploadOptions, uploadOptionRows } from './upload-options.ts'
import type { UploadResource } from '@millrace/contract'

const { parallel: _, ...aboutOptions } = uploadOptionRows
const pollMs = 1_000

export const importCommand = defineCommand({
  summary: 'let the server fetch a file from a URL',
  operands: 'URL',
  operandsMin: 1,
  options: {
    ...aboutOptions,
    name: { value: 'NAME', help: 'what to call it, else what the URL says' },
    header: { value: 'TEXT', help: 'sent to the host of the URL, e.g. "Authorization: Bearer …"; kept encrypted' },
    'no-wait': { help: 'do not wait until it is here' },
  },
  details: 'Waits until the file is here and prints its job and its id. Ctrl-C ends the waiting, not the import.',
  async run([url = ''], options, context) {
    const { console, signal, sleep } = context
    const { upload } = readUploadOptions(options)
    const { name, header } = options
    const body = {
      url,
      ...(name !== undefined && { name }),
      ...(header !== undefined && { headers: readHeader(header) }),
      ...(upload.pipeline !== undefined && { pipeline: upload.pipeline }),
      // Checked to be an object.
      ...(upload.metadata !== undefined && { metadata: JSON.parse(upload.metadata) as Record<string, unknown> }),
      ...(upload.priority !== undefined && { priority: upload.priority }),
      ...(upload.fileId !== undefined && { file_id: upload.fileId }),
    }
    const api = await context.api()
    const begun = await api.call('createImport', { body, headers: { 'idempotency-key': context.randomId() } })
    if (options['no-wait'] === true) return tellUpload(context, begun)
    console.note(`${begun.upload_id} is under way; millrace uploads show ${begun.upload_id} tells how far it is.`)
    let session: UploadResource = begun
    while (session.ended_at === null) {
      await sleep(pollMs, signal)
      session = await api.call('getUpload', { params: { upload_id: begun.upload_id } })
    }
    return tellUpload(context, session)
  },
})

function readHeader(text: string): Record<string, string> {
  const [, name, value] = /^([\w-]+):\s*(.+)$/.exec(text) ?? []
  if (name === undefined || value === undefined)
    throw usageFailure('--header is not a name and a value.', 'Give one such as "Authorization: Bearer …", in quotes.')
  return { [name]: value }
}
