// The header fields of tus 1.0 (https://tus.io/protocols/resumable-upload), read and checked. Each reader throws
// Problem('invalid_request') for a field that is not as the protocol says.

import type { IncomingHttpHeaders } from 'node:http'
import { Problem } from '../platform/problem.ts'

export const tusVersion = '1.0.0'
export const tusExtensions =
  'creation,creation-with-upload,creation-defer-length,termination,checksum,concatenation,expiration'
export const tusChecksumAlgorithms = ['sha1', 'sha256', 'sha512', 'md5'] as const

/** Partial uploads that one final upload may join; as many as their URLs fit into one header field. */
const partialsCountMax = 500

/** Throws Problem('protocol_version_unsupported') for another version or none. */
export function checkTusVersion(headers: IncomingHttpHeaders): void {
  const version = headers['tus-resumable']
  if (version === tusVersion) return
  throw new Problem('protocol_version_unsupported', {
    detail: version === undefined ? 'The field Tus-Resumable is missing.' : 'Only version 1.0.0 is spoken.',
    headers: { 'tus-version': tusVersion },
  })
}

/** A whole number of bytes, or undefined where the field is missing. */
export function readBytesField(headers: IncomingHttpHeaders, name: string): number | undefined {
  const value = headers[name]
  if (value === undefined) return undefined
  const number = Number(value)
  if (typeof value !== 'string' || !/^\d{1,16}$/.test(value) || !Number.isSafeInteger(number))
    throw invalid(`${name} must be a whole number of bytes.`)
  return number
}

/** Undefined: it will be told later. */
export function readUploadLength(headers: IncomingHttpHeaders): number | undefined {
  const length = readBytesField(headers, 'upload-length')
  const defer = headers['upload-defer-length']
  if (defer !== undefined && defer !== '1') throw invalid('Upload-Defer-Length can only be 1.')
  if ((length === undefined) === (defer === undefined))
    throw invalid('Exactly one of Upload-Length and Upload-Defer-Length is needed.')
  return length
}

/** The texts of Upload-Metadata by their keys. */
export function readUploadMetadata(field: string | undefined): Map<string, string> {
  const texts = new Map<string, string>()
  if (field === undefined || field.trim() === '') return texts
  for (const pair of field.split(',')) {
    const [key = '', value = '', ...rest] = pair.trim().split(' ')
    if (key === '' || rest.length > 0) throw invalid('Upload-Metadata must be pairs of a key and a value in base64.')
    if (texts.has(key)) throw invalid(`Upload-Metadata has the key ${JSON.stringify(key)} twice.`)
    texts.set(key, decodeText(value, `The value of ${JSON.stringify(key)} in Upload-Metadata`))
  }
  return texts
}

export type UploadConcat = { readonly kind: 'partial' } | { readonly kind: 'final'; readonly uploadIds: string[] }

/** The ids are the last parts of the URLs' paths, whatever stands before: proxies change that. */
export function readUploadConcat(headers: IncomingHttpHeaders): UploadConcat | undefined {
  const value = headers['upload-concat']
  if (value === undefined) return undefined
  if (value === 'partial') return { kind: 'partial' }
  const list = typeof value === 'string' && /^final;\s*(.+)$/.exec(value)?.[1]
  if (!list) throw invalid('Upload-Concat must be "partial", or "final;" and the URLs of the partial uploads.')
  const uploadIds = list
    .trim()
    .split(/\s+/)
    .map((url) => url.split(/[?#]/, 1)[0]!.replace(/\/+$/, '').split('/').at(-1) ?? '')
  if (uploadIds.length > partialsCountMax)
    throw invalid(`At most ${partialsCountMax} partial uploads can become one file.`)
  return { kind: 'final', uploadIds }
}

export interface UploadChecksum {
  algorithm: string
  digest: Buffer
}

export function readUploadChecksum(headers: IncomingHttpHeaders): UploadChecksum | undefined {
  const value = headers['upload-checksum']
  if (value === undefined) return undefined
  const [algorithm = '', digest = '', ...rest] = String(value).split(' ')
  if (!(tusChecksumAlgorithms as readonly string[]).includes(algorithm) || rest.length > 0)
    throw invalid(`Upload-Checksum must begin with one of ${tusChecksumAlgorithms.join(', ')}.`)
  return { algorithm, digest: decodeBase64(digest, 'Upload-Checksum') }
}

/** What is no text is refused: replaced characters would make another name of it. */
function decodeText(base64: string, what: string): string {
  const bytes = decodeBase64(base64, what)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw invalid(`${what} is not UTF-8.`)
  }
}

function decodeBase64(text: string, what: string): Buffer {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw invalid(`${what} is not base64.`)
  return Buffer.from(text, 'base64')
}

const invalid = (detail: string): Problem => new Problem('invalid_request', { detail })
