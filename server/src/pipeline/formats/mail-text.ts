// The text of a mail (RFC 5322, MIME): its headers for people and its body. mailparser reads it in a stream and bounds
// the number of parts and the length of headers; attachments are told by name and passed over, not kept.

import { createReadStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { MailParser, type AddressObject, type AttachmentStream, type MessageText } from 'mailparser'
import { Problem } from '../../platform/problem.ts'
import { htmlHandler } from './html-text.ts'
import { readMarkup } from './markup.ts'
import type { TextPages } from './text-pages.ts'

export interface MailFacts {
  from: string | null
  to: string[]
  subject: string | null
  /** ISO 8601. */
  date: string | null
  attachments_count: number
  /** The first ones. */
  attachments: { name: string | null; content_type: string; size_bytes: number }[]
}

/** A body is text in memory; what lies beyond is mostly attachments. */
const bytesReadMax = 256 * 1024 ** 2
const htmlCharactersMax = 2_000_000
const attachmentsToldMax = 50
const addressesToldMax = 50
const headerCharactersMax = 1000

/** Problems: file_unreadable, file_too_complex. */
export async function readMail(path: string, pages: TextPages): Promise<MailFacts> {
  const parser = new MailParser({ skipTextToHtml: true, maxHtmlLengthToParse: htmlCharactersMax, checksumAlgo: false })
  const source = createReadStream(path, { end: bytesReadMax - 1 })
  source.on('error', (error) => parser.destroy(error))
  const attachments: MailFacts['attachments'] = []
  let attachmentsCount = 0
  let body: MessageText | undefined
  try {
    for await (const part of source.pipe(parser)) {
      // The only two kinds that the parser gives.
      const found = part as AttachmentStream | MessageText
      if (found.type === 'text') {
        body = found
        continue
      }
      found.content.resume()
      await finished(found.content)
      attachmentsCount += 1
      if (attachments.length < attachmentsToldMax) attachments.push(toldOf(found))
      found.release?.()
    }
  } catch (cause) {
    throw new Problem('file_too_complex', { detail: 'The mail has more parts or longer headers than are read.', cause })
  } finally {
    source.destroy()
  }
  const facts = { ...headersOf(parser), attachments_count: attachmentsCount, attachments }
  if (facts.from === null && facts.to.length === 0 && facts.subject === null && facts.date === null)
    throw new Problem('file_unreadable', { detail: 'The file is not a mail: it has none of the headers of one.' })
  pages.page()
  for (const line of [facts.subject, facts.from, ...facts.to]) {
    pages.text(line ?? '')
    pages.line()
  }
  pages.paragraph()
  if (body?.text !== undefined && body.text !== '') pages.text(body.text)
  else if (body?.html !== undefined) await readMarkup([body.html], htmlHandler(pages), 'html')
  for (const { name } of attachments) {
    pages.line()
    pages.text(name ?? '')
  }
  return facts
}

const cut = (text: string | undefined): string | null => text?.slice(0, headerCharactersMax).toWellFormed() || null

const toldOf = ({ filename, contentType, size }: AttachmentStream): MailFacts['attachments'][number] => ({
  name: cut(filename),
  content_type: contentType.slice(0, 200),
  size_bytes: size ?? 0,
})

function headersOf({ from, to, cc, subject, date }: MailParser): Omit<MailFacts, 'attachments' | 'attachments_count'> {
  const listed = (addresses: AddressObject | AddressObject[] | undefined): AddressObject[] =>
    addresses === undefined ? [] : [addresses].flat()
  const receivers = [...listed(to), ...listed(cc)].flatMap(({ value }) => value).slice(0, addressesToldMax)
  return {
    from: cut(from?.text),
    to: receivers.map(({ name, address }) => cut([name, address].filter(Boolean).join(' ')) ?? '').filter(Boolean),
    subject: cut(subject),
    date: date === undefined || Number.isNaN(date.getTime()) ? null : date.toISOString(),
  }
}
