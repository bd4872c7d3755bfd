// A file at a URL. What breaks off is continued by Range, under If-Range: a server whose file has changed since, or that
// does not do ranges, sends all of it again, and then all of it is taken again.

import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { invariant, Problem } from '../../platform/problem.ts'
import { declaredTypeOf } from '../declared-type.ts'
import { findUrlFault, type GuardedFetch, type GuardedResponse } from './guarded-fetch.ts'
import type { AddressRules } from './address-rules.ts'
import type { FileOpener, OpenedFile, OpenFile } from './import-origin.ts'

const UrlSecret = Type.Object({ url: Type.String(), headers: Type.Record(Type.String(), Type.String()) })
export type UrlSecret = Static<typeof UrlSecret>
const urlSecret = Compile(UrlSecret)

/** Fields that are ours to write, or that would change how the request is framed. */
const ownFields = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'keep-alive',
  'range',
  'if-range',
  'accept-encoding',
])
const headersCountMax = 20

/** Checks what somebody asks to have fetched. Throws invalid_request and import_url_forbidden. */
export function checkUrlImport(
  { url: text, headers = {} }: { url: string; headers?: Record<string, string> },
  rules: AddressRules,
): { url: URL; secret: UrlSecret } {
  if (!URL.canParse(text)) throw new Problem('invalid_request', { detail: 'url is not a URL.' })
  const url = new URL(text)
  const fault = findUrlFault(url, rules)
  if (fault !== undefined) throw new Problem('import_url_forbidden', { detail: fault })
  if (Object.keys(headers).length > headersCountMax)
    throw new Problem('invalid_request', { detail: `At most ${headersCountMax} headers can be sent.` })
  const sent: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    const field = name.toLowerCase()
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(field) || ownFields.has(field) || field.startsWith('proxy-'))
      throw new Problem('invalid_request', { detail: `The header ${JSON.stringify(name)} cannot be sent.` })
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
      throw new Problem('invalid_request', { detail: `The value of ${name} cannot be sent.` })
    sent[field] = value
  }
  if (url.username !== '' || url.password !== '') {
    const credentials = `${decodeUserInfo(url.username)}:${decodeUserInfo(url.password)}`
    sent['authorization'] ??= `Basic ${Buffer.from(credentials).toString('base64')}`
    url.username = ''
    url.password = ''
  }
  url.hash = ''
  return { url, secret: { url: url.href, headers: sent } }
}

function decodeUserInfo(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new Problem('invalid_request', { detail: 'The user or password in url is not percent-encoded UTF-8.', cause })
  }
}

export function createUrlOpener(fetch: GuardedFetch): FileOpener {
  return async (open) => {
    const { offsetBytes, validator } = open
    const response = await request(fetch, open, offsetBytes > 0 ? validator : undefined)
    if (response.status !== 416) return read(response, open)
    response.dispose()
    // There is nothing after what we have: either that is all, or it is another file now.
    const sizeBytes = lengthOf(/^bytes \*\/(\d+)$/.exec(response.headers['content-range'] ?? '')?.[1])
    if (sizeBytes === offsetBytes)
      return { offsetBytes, sizeBytes, name: nameOf(response), validator, content: nothing(), dispose: () => {} }
    return read(await request(fetch, open, undefined), open)
  }
}

async function* nothing(): AsyncGenerator<never> {}

/** With a validator for what follows the offset, without one for all of it. */
function request(fetch: GuardedFetch, open: OpenFile, validator: string | undefined): Promise<GuardedResponse> {
  invariant(urlSecret.Check(open.secret), 'the secret of a URL import is one')
  const { url, headers } = open.secret
  return fetch({
    url: new URL(url),
    secretHeaders: headers,
    headers: {
      'user-agent': 'Millrace',
      accept: '*/*',
      ...(validator !== undefined && { range: `bytes=${open.offsetBytes}-`, 'if-range': validator }),
    },
    signal: open.signal,
  })
}

/** Lets go of an answer that is not the file. */
function read(response: GuardedResponse, open: OpenFile): OpenedFile {
  const { status, headers, body, dispose } = response
  const file = {
    name: nameOf(response),
    declaredType: declaredTypeOf(headers['content-type']),
    validator: validatorOf(response) ?? (status === 206 ? open.validator : undefined),
    content: body,
    dispose,
  }
  if (status === 200) {
    const sizeBytes = headers['transfer-encoding'] === undefined ? lengthOf(headers['content-length']) : undefined
    return { ...file, offsetBytes: 0, sizeBytes }
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers['content-range'] ?? '')
  if (status === 206 && Number(range?.[1]) === open.offsetBytes)
    return { ...file, offsetBytes: open.offsetBytes, sizeBytes: lengthOf(range?.[2]) }
  dispose()
  const isPassing = [408, 425, 429].includes(status) || status >= 500
  throw new Problem(isPassing ? 'import_source_unavailable' : 'import_refused', {
    detail: status === 206 ? 'The source sent another range than it was asked for.' : `Its status was ${status}.`,
  })
}

const lengthOf = (text: string | undefined): number | undefined => {
  const length = Number(text)
  return text !== undefined && /^\d+$/.test(text) && Number.isSafeInteger(length) ? length : undefined
}

/** A strong tag, else a date: RFC 9110 lets nothing else stand in If-Range. */
function validatorOf({ headers }: GuardedResponse): string | undefined {
  const { etag } = headers
  if (etag !== undefined && /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag)) return etag
  return headers['last-modified']
}

/** Of Content-Disposition, else the last part of the path. It is checked like any other name before it is used. */
function nameOf({ headers, url }: GuardedResponse): string | undefined {
  const disposition = headers['content-disposition'] ?? ''
  const extended = /;\s*filename\*=UTF-8''([^;\s]+)/i.exec(disposition)?.[1]
  const plain = /;\s*filename=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(disposition)
  const name =
    decode(extended) ?? plain?.[1]?.replaceAll(/\\(.)/g, '$1') ?? plain?.[2] ?? decode(url.pathname.split('/').at(-1))
  return name === '' ? undefined : name
}

function decode(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
