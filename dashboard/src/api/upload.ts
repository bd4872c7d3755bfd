// Sends one file as a form by XMLHttpRequest: fetch cannot tell how much of a body has left.

import { ApiProblem, apiPrefix, operations, type ProblemDocument, type UploadResult } from '@millrace/contract'

export interface UploadRequest {
  file: File
  /** Name under which the file is kept, without folders. */
  name: string
  pipeline?: string
  metadata?: Record<string, unknown>
  /** The same for every try of one upload, so that a repeated one is answered and not done again. */
  idempotencyKey: string
  signal: AbortSignal
  onProgress(sentBytes: number): void
}

/** The connection broke before an answer came. */
export class ConnectionLost extends Error {
  constructor() {
    super('The connection to the server was lost.')
    this.name = 'ConnectionLost'
  }
}

/** Resolves with the server's answer; throws ApiProblem, ConnectionLost, or the signal's reason. */
export function sendUpload(request: UploadRequest, credentials: string): Promise<UploadResult> {
  return new Promise((resolve, reject) => {
    const { signal } = request
    if (signal.aborted) {
      reject(signal.reason)
      return
    }
    const xhr = new XMLHttpRequest()
    const abort = () => xhr.abort()
    signal.addEventListener('abort', abort, { once: true })
    xhr.addEventListener('loadend', () => signal.removeEventListener('abort', abort))
    xhr.upload.addEventListener('progress', (event) => request.onProgress(Math.min(event.loaded, request.file.size)))
    xhr.addEventListener('abort', () => reject(signal.reason))
    xhr.addEventListener('error', () => reject(new ConnectionLost()))
    xhr.addEventListener('load', () => {
      if (xhr.status >= 200 && xhr.status < 300) {
        // The server validates its answers against the contract, so the shape is the declared one.
        resolve(JSON.parse(xhr.responseText) as UploadResult)
      } else reject(new ApiProblem(readProblem(xhr.status, xhr.responseText)))
    })
    xhr.open(operations.uploadFile.method, apiPrefix + operations.uploadFile.path)
    xhr.setRequestHeader('authorization', `Bearer ${credentials}`)
    xhr.setRequestHeader('idempotency-key', request.idempotencyKey)
    xhr.send(uploadForm(request))
  })
}

/** The fields stand before the file, because the server reads the form as it streams in. */
function uploadForm({ file, name, pipeline, metadata }: UploadRequest): FormData {
  const form = new FormData()
  if (pipeline) form.append('pipeline', pipeline)
  if (metadata) form.append('metadata', JSON.stringify(metadata))
  form.append('file', file, name)
  return form
}

/** The problem document of an answer, or one made up from its status when a proxy answered instead. */
export function readProblem(status: number, text: string): ProblemDocument {
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body === 'object' && body !== null && 'code' in body) return body as ProblemDocument
  } catch {
    // Not ours: told below by its status.
  }
  const tooLarge = status === 413
  return {
    type: 'about:blank',
    title: tooLarge ? 'A proxy on the way refused the size of the upload.' : `The server answered ${status}.`,
    status,
    code: tooLarge ? 'request_too_large' : 'internal',
    remedy: tooLarge ? 'Raise the body limit of the proxy in front of Millrace.' : 'Try again in a moment.',
  }
}
