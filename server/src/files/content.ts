// The one way for bytes to leave by HTTP: whole or in ranges, with validators and digests, and as something that no
// browser runs. Headers by RFC 9110 (ranges, conditions), RFC 9530 (Repr-Digest) and RFC 6266 (names).

import { Readable } from 'node:stream'
import type { Database } from '../platform/database.ts'
import type { Ids } from '../platform/ids.ts'
import { Problem, toProblemDocument } from '../platform/problem.ts'
import type { RequestContext, StreamAnswer } from '../platform/routes.ts'
import type { ByteRange } from '../storage/object-store.ts'
import { findObject } from '../storage/object.sql.ts'
import type { SealedObject, Vault } from '../storage/vault.ts'
import { parseRange } from './byte-ranges.ts'
import { checkConditions, rangeHolds } from './conditions.ts'
import { contentDisposition } from './file-name.ts'
import { createReadContent, type ReadContent } from './read-content.ts'

export interface ServedObject {
  objectId: string
  /** For people; offered as the name of the download as far as it is a safe one. */
  name: string
  contentType: string
  /** Strong validator, quotes included. */
  etag: string
  /** The object is an image that we have encoded ourselves: it may be shown in place. Anything else is an attachment. */
  inline?: boolean
  /** A page of ours asks for it in a frame, where a PDF is shown, too. */
  framed?: boolean
}

export type ServeObject = (context: RequestContext, served: ServedObject) => Promise<StreamAnswer>

/**
 * Answers 200, 206 (one range, or several as multipart/byteranges), 304 or 416. The first bytes are verified before
 * anything is answered: throws Problem object_damaged, storage_unavailable, precondition_failed, and not_found for an
 * object that the tenant does not have. Whether its bytes may leave at all is the caller's to know.
 */
export function createServeObject(deps: { database: Database; vault: Vault; ids: Ids }): ServeObject {
  const { database, ids } = deps
  const read = createReadContent(deps)
  return async (context, served) => {
    const { tenantId } = context.principal
    const object = await database.withTenant(tenantId, (tx) => findObject(tx, served.objectId))
    if (object === undefined) throw new Problem('not_found')
    const headers = headersOf(served, object)
    const outcome = checkConditions(context.headers, served.etag)
    if (outcome === 'failed') throw new Problem('precondition_failed')
    if (outcome === 'current') return { kind: 'stream', status: 304, headers: validatorsOf(served), body: undefined }
    const isHead = context.method === 'HEAD'
    // Range is defined for GET alone, and holds only for the representation that If-Range names.
    const wish =
      isHead || !rangeHolds(context.headers, served.etag)
        ? ({ kind: 'whole' } as const)
        : parseRange(context.headers.range, object.sizeBytes)
    if (wish.kind === 'unsatisfiable') return unsatisfiable(context, object)
    if (wish.kind === 'whole' || object.sizeBytes === 0) {
      const body = isHead ? undefined : await read(object, context)
      return { kind: 'stream', status: 200, headers: { ...headers, 'content-length': String(object.sizeBytes) }, body }
    }
    const [range, ...others] = wish.ranges
    if (range !== undefined && others.length === 0)
      return singleRange(await read(object, context, range), headers, { object, range })
    return severalRanges({ read, boundary: ids.randomHex(16), context, served, object, ranges: wish.ranges, headers })
  }
}

/** Whether what this processor makes is an image that we have encoded ourselves, pixel by pixel. */
export const isOurImage = (processor: string | null): boolean =>
  processor === 'image.thumbnail' || processor === 'image.convert'

/** Types that an image may have which is shown in place; not SVG, which can carry scripts. */
const inlineTypes = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/avif', 'image/gif'])

/** Browsers show it by a viewer of their own, apart from the page. */
const frameType = 'application/pdf'

const validatorsOf = ({ etag }: ServedObject): Record<string, string> => ({
  etag,
  // Who may read it is asked each time; the bytes need not travel again.
  'cache-control': 'private, no-cache',
})

function headersOf(served: ServedObject, object: SealedObject): Record<string, string> {
  const framed = served.framed === true && served.contentType === frameType
  const inline = framed || (served.inline === true && inlineTypes.has(served.contentType))
  return {
    ...validatorsOf(served),
    'content-type': served.contentType,
    'content-disposition': contentDisposition(inline ? 'inline' : 'attachment', served.name),
    'accept-ranges': 'bytes',
    'repr-digest': `sha-256=:${Buffer.from(object.sha256, 'hex').toString('base64')}:`,
    'x-content-type-options': 'nosniff',
    // The sandbox makes it a document of an origin of its own, without scripts, forms or windows. It stands here and not
    // at the frame, because there Chromium refuses to show a PDF at all.
    'content-security-policy': `default-src 'none'; frame-ancestors ${framed ? "'self'" : "'none'"}; sandbox`,
    ...(framed && { 'x-frame-options': 'SAMEORIGIN' }),
    'cross-origin-resource-policy': 'same-origin',
  }
}

function unsatisfiable({ requestId }: RequestContext, { sizeBytes }: SealedObject): StreamAnswer {
  const detail = `The content has ${sizeBytes} bytes.`
  const text = JSON.stringify(toProblemDocument({ code: 'range_not_satisfiable', detail }, requestId))
  return {
    kind: 'stream',
    status: 416,
    headers: {
      'content-type': 'application/problem+json; charset=utf-8',
      'content-range': `bytes */${sizeBytes}`,
      'content-length': String(Buffer.byteLength(text)),
      'cache-control': 'no-store',
    },
    body: Readable.from([Buffer.from(text)], { objectMode: false }),
  }
}

const contentRange = ({ start, end }: ByteRange, { sizeBytes }: SealedObject): string =>
  `bytes ${start}-${end}/${sizeBytes}`

const lengthOf = ({ start, end }: ByteRange): number => end - start + 1

const singleRange = (
  body: Readable,
  headers: Record<string, string>,
  { object, range }: { object: SealedObject; range: ByteRange },
): StreamAnswer => ({
  kind: 'stream',
  status: 206,
  headers: { ...headers, 'content-range': contentRange(range, object), 'content-length': String(lengthOf(range)) },
  body,
})

interface SeveralRanges {
  read: ReadContent
  boundary: string
  context: RequestContext
  served: ServedObject
  object: SealedObject
  ranges: readonly ByteRange[]
  headers: Record<string, string>
}

async function severalRanges(wanted: SeveralRanges): Promise<StreamAnswer> {
  const { read, boundary, context, served, object, ranges, headers } = wanted
  const parts = ranges.map((range, index) => ({
    range,
    head: Buffer.from(
      `${index === 0 ? '' : '\r\n'}--${boundary}\r\ncontent-type: ${served.contentType}\r\ncontent-range: ${contentRange(range, object)}\r\n\r\n`,
    ),
  }))
  const end = Buffer.from(`\r\n--${boundary}--\r\n`)
  const sizeBytes = parts.reduce((sum, part) => sum + part.head.length + lengthOf(part.range), end.length)
  const [firstPart] = parts
  const first = firstPart && (await read(object, context, firstPart.range))
  async function* write(): AsyncGenerator<Buffer, void, undefined> {
    for (const part of parts) {
      yield part.head
      // A stream of bytes gives buffers.
      yield* (part === firstPart && first ? first : await read(object, context, part.range)) as AsyncIterable<Buffer>
    }
    yield end
  }
  const body = Readable.from(write(), { objectMode: false })
  body.once('close', () => first?.destroy())
  return {
    kind: 'stream',
    status: 206,
    headers: {
      ...headers,
      'content-type': `multipart/byteranges; boundary=${boundary}`,
      'content-length': String(sizeBytes),
    },
    body,
  }
}
