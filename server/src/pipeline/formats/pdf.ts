// PDF by PDFium in WebAssembly: MIT-licensed, installs without any download, and six times as fast as pdf.js
// (measured over the 971 test files of pdf.js). Its memory is one heap of at most 2 GiB, which ends with the process.
//
// The package's own wrapper keeps every page open that it read a text from and copies the file twice; so the
// functions of the library are called directly. A fault inside the library is a trap of WebAssembly: what is left of
// it cannot be trusted, so the next document gets a new one. A page whose content never ends is ended by the sandbox.

/* oxlint-disable no-underscore-dangle -- so the library's functions are called */

import { open } from 'node:fs/promises'
import { PDFiumLibrary } from '@hyzyla/pdfium'
import { Problem } from '../../platform/problem.ts'

/** What is used of the library; pointers and handles are numbers, 0 is none. */
interface Pdfium {
  HEAPU8: Uint8Array
  wasmExports: { malloc(sizeBytes: number): number; free(pointer: number): void }
  _FPDF_LoadMemDocument(data: number, sizeBytes: number, password: number): number
  _FPDF_GetLastError(): number
  _FPDF_CloseDocument(document: number): void
  _FPDF_GetMetaText(document: number, tag: number, buffer: number, bufferBytes: number): number
  _FPDF_GetPageCount(document: number): number
  _FPDF_LoadPage(document: number, index: number): number
  _FPDF_ClosePage(page: number): void
  _FPDF_GetPageWidth(page: number): number
  _FPDF_GetPageHeight(page: number): number
  _FPDFText_LoadPage(page: number): number
  _FPDFText_ClosePage(textPage: number): void
  _FPDFText_CountChars(textPage: number): number
  _FPDFText_GetText(textPage: number, start: number, count: number, buffer: number): number
  _FPDFPage_CountObjects(page: number): number
  _FPDFPage_GetObject(page: number, index: number): number
  _FPDFPageObj_GetType(object: number): number
  _FPDFFormObj_CountObjects(form: number): number
  _FPDFFormObj_GetObject(form: number, index: number): number
  _FPDFBitmap_CreateEx(width: number, height: number, format: number, data: number, stride: number): number
  _FPDFBitmap_FillRect(bitmap: number, left: number, top: number, width: number, height: number, colour: number): void
  _FPDFBitmap_Destroy(bitmap: number): void
  _FPDF_RenderPageBitmap(
    bitmap: number,
    page: number,
    startX: number,
    startY: number,
    width: number,
    height: number,
    rotation: number,
    flags: number,
  ): void
}

export interface PdfPage {
  /** In points of 1/72 inch, as the page is shown. */
  widthPoints: number
  heightPoints: number
  /** At most `charactersMax` characters of the page's text. */
  text(charactersMax: number): string
  /** Whether an image lies on the page. */
  hasImages(): boolean
  /** The page on white, four bytes per pixel: red, green, blue, alpha. Problems: file_too_complex. */
  render(size: { widthPx: number; heightPx: number }): Buffer
}

export interface Pdf {
  pagesCount: number
  title: string | null
  author: string | null
  /** Opens page `number` (from 1) for `work`; nothing when the page is damaged. */
  page<T>(number: number, work: (page: PdfPage) => T): T | undefined
}

/** Both the file and what is made of it lie in the library's heap. */
const fileBytesMax = 512 * 1024 ** 2
/** Objects looked at for an image on a page. */
const objectsLookedAtCount = 5_000

let library: Promise<Pdfium> | undefined

async function loadLibrary(): Promise<Pdfium> {
  library ??= PDFiumLibrary.init().then(
    // The wrapper hides the module that it is made of; its functions are those of PDFium's public headers.
    (wrapper) => (wrapper as unknown as { module: Pdfium }).module,
  )
  return library
}

/** Opens the document for `work`. Problems: file_unreadable, file_encrypted, file_too_complex. */
export async function withPdf<T>(
  file: { path: string; sizeBytes: number },
  work: (pdf: Pdf) => Promise<T>,
): Promise<T> {
  if (file.sizeBytes > fileBytesMax)
    throw new Problem('file_too_complex', { detail: `A PDF may have ${fileBytesMax / 1024 ** 2} MiB at most.` })
  const pdfium = await loadLibrary()
  const data = await copyToHeap(pdfium, file)
  let document = 0
  try {
    document = pdfium._FPDF_LoadMemDocument(data, file.sizeBytes, 0)
    if (document === 0) throw refusal(pdfium._FPDF_GetLastError())
    return await work(pdfOf(pdfium, document))
  } catch (cause) {
    if (!isTrap(cause)) throw cause
    library = undefined
    throw new Problem('file_unreadable', {
      detail: 'The PDF is damaged in a way that its reader cannot cope with.',
      cause,
    })
  } finally {
    if (library !== undefined) {
      if (document !== 0) pdfium._FPDF_CloseDocument(document)
      pdfium.wasmExports.free(data)
    }
  }
}

/** A fault inside the library: a WebAssembly.RuntimeError, which has no type here; a full stack is a RangeError. */
const isTrap = (error: unknown): boolean =>
  error instanceof RangeError || (error instanceof Error && error.name === 'RuntimeError')

/** The codes of fpdfview.h. */
function refusal(code: number): Problem {
  if (code === 4) return new Problem('file_encrypted', { detail: 'The PDF is protected by a password.' })
  if (code === 5)
    return new Problem('file_encrypted', { detail: 'The PDF is encrypted in a way that cannot be opened here.' })
  return new Problem('file_unreadable', { detail: 'The PDF is damaged or was cut off; no page of it can be found.' })
}

async function copyToHeap(pdfium: Pdfium, { path, sizeBytes }: { path: string; sizeBytes: number }): Promise<number> {
  const file = await open(path)
  let data = 0
  try {
    data = allocate(pdfium, sizeBytes)
    const chunk = Buffer.alloc(Math.min(1024 ** 2, sizeBytes))
    for (let at = 0; at < sizeBytes;) {
      const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, sizeBytes - at), at)
      if (bytesRead === 0) break
      pdfium.HEAPU8.set(chunk.subarray(0, bytesRead), data + at)
      at += bytesRead
    }
    return data
  } catch (error) {
    // Of nothing it frees nothing.
    pdfium.wasmExports.free(data)
    throw error
  } finally {
    await file.close()
  }
}

function allocate(pdfium: Pdfium, sizeBytes: number): number {
  const pointer = pdfium.wasmExports.malloc(Math.max(1, sizeBytes))
  if (pointer === 0)
    throw new Problem('file_too_complex', { detail: 'The PDF needs more memory than its reader can have.' })
  return pointer
}

const pdfOf = (pdfium: Pdfium, document: number): Pdf => ({
  pagesCount: pdfium._FPDF_GetPageCount(document),
  title: metaText(pdfium, document, 'Title'),
  author: metaText(pdfium, document, 'Author'),
  page: (number, work) => {
    const page = pdfium._FPDF_LoadPage(document, number - 1)
    if (page === 0) return undefined
    let isTrapped = false
    try {
      return work({
        widthPoints: pdfium._FPDF_GetPageWidth(page),
        heightPoints: pdfium._FPDF_GetPageHeight(page),
        text: (charactersMax) => pageText(pdfium, page, charactersMax),
        hasImages: () => hasImages(pdfium, page),
        render: (size) => renderPage(pdfium, page, size),
      })
    } catch (error) {
      isTrapped = isTrap(error)
      throw error
    } finally {
      if (!isTrapped) pdfium._FPDF_ClosePage(page)
    }
  },
})

const metaCharactersMax = 1000

function metaText(pdfium: Pdfium, document: number, tag: string): string | null {
  const name = allocate(pdfium, tag.length + 1)
  const bufferBytes = (metaCharactersMax + 1) * 2
  const buffer = allocate(pdfium, bufferBytes)
  try {
    pdfium.HEAPU8.set(Buffer.from(`${tag}\0`, 'latin1'), name)
    const lengthBytes = pdfium._FPDF_GetMetaText(document, name, buffer, bufferBytes)
    // A longer text is not written at all.
    if (lengthBytes <= 2 || lengthBytes > bufferBytes) return null
    return utf16(pdfium, buffer, lengthBytes - 2).trim() || null
  } finally {
    pdfium.wasmExports.free(name)
    pdfium.wasmExports.free(buffer)
  }
}

// The heap may have moved since it was last looked at, so it is never kept.
const utf16 = (pdfium: Pdfium, pointer: number, lengthBytes: number): string =>
  new TextDecoder('utf-16le').decode(pdfium.HEAPU8.subarray(pointer, pointer + lengthBytes))

function pageText(pdfium: Pdfium, page: number, charactersMax: number): string {
  const textPage = pdfium._FPDFText_LoadPage(page)
  if (textPage === 0) return ''
  const count = Math.min(pdfium._FPDFText_CountChars(textPage), charactersMax)
  if (count <= 0) {
    pdfium._FPDFText_ClosePage(textPage)
    return ''
  }
  const buffer = allocate(pdfium, (count + 1) * 2)
  const written = pdfium._FPDFText_GetText(textPage, 0, count, buffer)
  const text = written <= 1 ? '' : utf16(pdfium, buffer, (written - 1) * 2)
  pdfium.wasmExports.free(buffer)
  pdfium._FPDFText_ClosePage(textPage)
  // A word that was divided at the end of a line is marked with one of these two.
  return text.replaceAll(/[\u0002\ufffe](?:\r?\n)?/gu, '') // oxlint-disable-line no-control-regex
}

const imageObject = 3
const formObject = 5

function hasImages(pdfium: Pdfium, page: number): boolean {
  const objectsCount = Math.min(pdfium._FPDFPage_CountObjects(page), objectsLookedAtCount)
  for (let index = 0; index < objectsCount; index += 1) {
    const object = pdfium._FPDFPage_GetObject(page, index)
    const type = pdfium._FPDFPageObj_GetType(object)
    if (type === imageObject) return true
    if (type !== formObject) continue
    // Scanners like to wrap the page's image once.
    const innerCount = Math.min(pdfium._FPDFFormObj_CountObjects(object), objectsLookedAtCount)
    for (let inner = 0; inner < innerCount; inner += 1)
      if (pdfium._FPDFPageObj_GetType(pdfium._FPDFFormObj_GetObject(object, inner)) === imageObject) return true
  }
  return false
}

const bytesPerPixel = 4
/** FPDFBitmap_BGRA; with the reverse flag below the order of the bytes is that of sharp. */
const bitmapFormat = 4
/** FPDF_ANNOT, FPDF_RENDER_LIMITEDIMAGECACHE, FPDF_REVERSE_BYTE_ORDER. */
const renderFlags = 0x01 | 0x200 | 0x10

function renderPage(pdfium: Pdfium, page: number, size: { widthPx: number; heightPx: number }): Buffer {
  const { widthPx, heightPx } = size
  const sizeBytes = widthPx * heightPx * bytesPerPixel
  const data = allocate(pdfium, sizeBytes)
  const bitmap = pdfium._FPDFBitmap_CreateEx(widthPx, heightPx, bitmapFormat, data, widthPx * bytesPerPixel)
  if (bitmap === 0) {
    pdfium.wasmExports.free(data)
    throw new Problem('file_too_complex', { detail: 'The page is too large to be drawn.' })
  }
  pdfium._FPDFBitmap_FillRect(bitmap, 0, 0, widthPx, heightPx, 0xffffffff)
  pdfium._FPDF_RenderPageBitmap(bitmap, page, 0, 0, widthPx, heightPx, 0, renderFlags)
  const pixels = Buffer.from(pdfium.HEAPU8.subarray(data, data + sizeBytes))
  pdfium._FPDFBitmap_Destroy(bitmap)
  pdfium.wasmExports.free(data)
  return pixels
}
