import { join } from 'node:path'
import sharp from 'sharp'
import { withPdf, type Pdf } from '../formats/pdf.ts'
import { encoded, pictureFiles } from '../formats/picture.ts'
import { pagesOf } from '../page-range.ts'
import { defineRun, inputOf, type TypedRun } from '../processor-run.ts'
import { done, reject, type OutputFile } from '../processor.ts'
import { documentRender, renderedPagesCountMax } from './document-render.ts'

interface RenderedPage {
  page: number
  name: string
  width: number
  height: number
  /** Lower than asked for where the page would have had too many pixels. */
  dpi: number
}

type Wishes = TypedRun<(typeof documentRender)['parameters']>['parameters']

const pointsPerInch = 72
/** Four bytes each, in the library's heap and once more outside of it. */
const pixelsMax = 40_000_000
/** WebP's limit; JPEG and PNG have higher ones. */
const edgePxMax = 16_383

/**
 * Outputs: page_001.png and so on, by number of the page.
 * Result: { kind: 'page-images', pages_count, pages, damaged_pages, pages_left_out_count }; recordsCount is the number
 * of pages drawn.
 */
export const run = defineRun(documentRender, async ({ parameters, outputFolder, ...rest }) => {
  sharp.concurrency(1)
  sharp.cache(false)
  return withPdf(inputOf(rest), async (pdf) => {
    const numbers = pagesOf(parameters.pages, pdf.pagesCount)
    const drawn = numbers.slice(0, renderedPagesCountMax)
    const pages: RenderedPage[] = []
    for (const number of drawn) {
      const page = await drawPage({ pdf, number, outputFolder, wishes: parameters })
      if (page !== undefined) pages.push(page)
    }
    if (pages.length === 0) return reject('file_unreadable', 'The pages of the PDF are damaged; none could be drawn.')
    const found = new Set(pages.map(({ page }) => page))
    const { contentType } = pictureFiles[parameters.format]
    const outputs = pages.map(({ name }): OutputFile => ({ path: name, name, contentType }))
    const result = {
      kind: 'page-images',
      pages_count: pdf.pagesCount,
      pages,
      damaged_pages: drawn.filter((number) => !found.has(number)),
      pages_left_out_count: numbers.length - drawn.length,
    }
    return done(outputs, result, { recordsCount: pages.length })
  })
})

/** Nothing when the page is damaged. */
async function drawPage(options: {
  pdf: Pdf
  number: number
  outputFolder: string
  wishes: Wishes
}): Promise<RenderedPage | undefined> {
  const { pdf, number, outputFolder, wishes } = options
  const image = pdf.page(number, (page) => {
    const size = sizeOf(page, wishes.dpi)
    return size === undefined ? undefined : { ...size, pixels: page.render(size) }
  })
  if (image === undefined) return undefined
  const { widthPx, heightPx, dpi, pixels } = image
  const name = `page_${String(number).padStart(3, '0')}.${pictureFiles[wishes.format].ending}`
  const picture = sharp(pixels, { raw: { width: widthPx, height: heightPx, channels: 4 } })
    .removeAlpha()
    // Beside the density nothing is said: a colour profile would have every pixel converted from sRGB to sRGB.
    .withDensity(dpi)
  await encoded(picture, wishes.format, wishes.quality).toFile(join(outputFolder, name))
  return { page: number, name, width: widthPx, height: heightPx, dpi: Math.round(dpi) }
}

/** Nothing for a page without an extent. */
function sizeOf(
  { widthPoints, heightPoints }: { widthPoints: number; heightPoints: number },
  dpi: number,
): { widthPx: number; heightPx: number; dpi: number } | undefined {
  if (!(widthPoints > 0 && heightPoints > 0)) return undefined
  const scale = Math.min(
    dpi / pointsPerInch,
    edgePxMax / Math.max(widthPoints, heightPoints),
    Math.sqrt(pixelsMax / (widthPoints * heightPoints)),
  )
  return {
    widthPx: Math.max(1, Math.floor(widthPoints * scale)),
    heightPx: Math.max(1, Math.floor(heightPoints * scale)),
    dpi: scale * pointsPerInch,
  }
}
