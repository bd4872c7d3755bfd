// Documents and texts: PDF (ISO 32000), OLE containers of old Office files, RTF, JSON, XML and SVG, plain text.

import { readFile } from 'node:fs/promises'
import { Problem } from '../../../platform/problem.ts'
import { detectEncoding } from '../../formats/text-encoding.ts'
import { opensWithoutPassword } from './pdf-password.ts'
import { cutOff, damaged, type FileBytes, type Structure, type StructureCheck } from './structure.ts'

const pdfTailBytes = 64 * 1024

/** Whole when it says where its objects are listed, and something is listed there. */
export async function checkPdf(bytes: FileBytes): Promise<Structure> {
  const what = 'PDF'
  const head = (await bytes.read(0, 1024)).toString('latin1')
  const version = /%PDF-(\d\.\d)/.exec(head)?.[1]
  const start = Math.max(0, bytes.sizeBytes - pdfTailBytes)
  const tail = (await bytes.read(start, pdfTailBytes)).toString('latin1')
  const end = tail.lastIndexOf('%%EOF')
  const found = /startxref\s+(\d+)\s*$/.exec(tail.slice(0, end))
  if (end < 0 || found === null) throw cutOff(what)
  const listAt = Number(found[1]) + Math.max(0, head.indexOf('%PDF-'))
  const list = (await bytes.read(listAt, 64)).toString('latin1')
  // Readers repair a list that is some bytes away from its place; one outside the file tells of missing bytes.
  if (listAt >= bytes.sizeBytes) throw cutOff(what, 'the list of its objects is missing')
  const isListed = /^\s*(?:xref|\d+\s+\d+\s+obj)/.test(list)
  if (!(await opensWithoutPassword(bytes)))
    throw new Problem('file_encrypted', { detail: 'The PDF is protected by a password.' })
  const endsAt = start + end + '%%EOF'.length
  const lineEnd = /^[\r\n]*/.exec(tail.slice(end + '%%EOF'.length))?.[0].length ?? 0
  return { facts: { version: version ?? null, needs_repair: !isListed }, endsAt: endsAt + lineEnd }
}

const encryptedPackage = Buffer.from('EncryptedPackage', 'utf16le')
const oleDirectoryBytesMax = 8 * 1024 ** 2

/** Compound files: their allocation table counts the sectors that have to be there ([MS-CFB] 2.2). */
export async function checkOle(bytes: FileBytes): Promise<Structure> {
  const what = 'document'
  const head = Buffer.from(await bytes.read(0, 512))
  if (head.length < 512) throw cutOff(what)
  const sectorBytes = 2 ** head.readUInt16LE(30)
  if (sectorBytes !== 512 && sectorBytes !== 4096) throw damaged(what, 'its header makes no sense')
  const directoryAt = (head.readUInt32LE(48) + 1) * sectorBytes
  const tablesCount = head.readUInt32LE(44)
  const lastTable = Math.min(tablesCount, 109) - 1
  const lastTableAt = lastTable < 0 ? 0 : (head.readUInt32LE(76 + 4 * lastTable) + 1) * sectorBytes
  if (Math.max(directoryAt, lastTableAt) + sectorBytes > bytes.sizeBytes) throw cutOff(what)
  for await (const piece of bytes.pieces(directoryAt, directoryAt + oleDirectoryBytesMax))
    if (piece.includes(encryptedPackage))
      throw new Problem('file_encrypted', { detail: 'The document is protected by a password.' })
  return { facts: {} }
}

/** Groups in braces that have to be closed; a brace behind a backslash is a character. */
export async function checkRtf(bytes: FileBytes): Promise<Structure> {
  const [escape, opening, closing] = [0x5c, 0x7b, 0x7d]
  let [at, depth, isEscaped] = [0, 0, false]
  for await (const piece of bytes.pieces()) {
    for (const [index, byte] of piece.entries()) {
      if (isEscaped) isEscaped = false
      else if (byte === escape) isEscaped = true
      else if (byte === opening) depth += 1
      else if (byte === closing && (depth -= 1) <= 0)
        return { facts: {}, endsAt: await blanksEnd(bytes, at + index + 1) }
    }
    at += piece.length
  }
  throw cutOff('document')
}

/** Writers end the file with a line break or a zero. */
async function blanksEnd(bytes: FileBytes, at: number): Promise<number> {
  return at + (/^[\s\0]*/.exec((await bytes.read(at, 64)).toString('latin1'))?.[0].length ?? 0)
}

/** Up to this size JSON is parsed; beyond it, only its beginning has to fit its end. */
const jsonBytesMax = 4 * 1024 ** 2

export async function checkJson(bytes: FileBytes): Promise<Structure> {
  const encoding = await detectEncoding(bytes.path)
  if (bytes.sizeBytes > jsonBytesMax) {
    const [first, last] = await edgesOf(bytes)
    const wanted = { '{': '}', '[': ']' }[first]
    if (wanted !== undefined && wanted !== last)
      throw cutOff('JSON', `it begins with ${first} and does not end with ${wanted}`)
    return { facts: { encoding, checked: 'edges' } }
  }
  const text = new TextDecoder(encoding).decode(await readFile(bytes.path))
  const fault = faultOfJson(text)
  // Lines of JSON are often called .json as well.
  const isLines =
    fault !== undefined &&
    text
      .trim()
      .split('\n')
      .every((line) => line.trim() === '' || faultOfJson(line) === undefined)
  if (fault !== undefined && !isLines)
    throw damaged('JSON', 'it does not keep the rules of JSON, or its end is missing', fault)
  return { facts: { encoding, is_lines: isLines } }
}

function faultOfJson(text: string): unknown {
  try {
    JSON.parse(text)
    return undefined
  } catch (fault) {
    return fault
  }
}

export async function checkText(bytes: FileBytes): Promise<Structure> {
  return { facts: { encoding: await detectEncoding(bytes.path) } }
}

/** XML is whole when the element that it begins with is closed at its end. Of UTF-16 only the encoding is told. */
export const checkXml =
  (what: string): StructureCheck =>
  async (bytes) => {
    const encoding = await detectEncoding(bytes.path)
    if (encoding.startsWith('utf-16')) return { facts: { encoding, checked: 'nothing' } }
    const head = (await bytes.read(0, xmlHeadBytes)).toString('latin1')
    const root = /<([A-Za-z_:][\w:.-]*)/.exec(head.replaceAll(/<!--[^]*?-->/g, ''))?.[1]
    if (root === undefined) throw damaged(what, 'it has no content')
    const tailAt = Math.max(0, bytes.sizeBytes - xmlTailBytes)
    const tail = (await bytes.read(tailAt, xmlTailBytes)).toString('latin1')
    const last = tail.replaceAll(/<!--[^]*?-->|<\?[^]*?\?>/g, '').trimEnd()
    const isClosed = last.replace(/\s*>$/, '>').endsWith(`</${root}>`)
    const isEmptyRoot = last.endsWith('/>') && tailAt === 0 && [...last.matchAll(/<[A-Za-z_:]/g)].length === 1
    if (!isClosed && !isEmptyRoot) throw cutOff(what)
    return { facts: { encoding } }
  }

const xmlHeadBytes = 64 * 1024
const xmlTailBytes = 16 * 1024

/** The first and the last character that is not blank; marks of byte order are no characters. */
async function edgesOf(bytes: FileBytes): Promise<[string, string]> {
  const head = (await bytes.read(0, 4096))
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '')
    .trimStart()
  const tail = (await bytes.read(Math.max(0, bytes.sizeBytes - 4096), 4096)).toString('latin1').trimEnd()
  return [head[0] ?? '', tail.at(-1) ?? '']
}
