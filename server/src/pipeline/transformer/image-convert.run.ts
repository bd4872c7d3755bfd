import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import { Problem } from '../../platform/problem.ts'
import { decoding, encoded, openPicture, pictureFiles, type Picture } from '../formats/picture.ts'
import { defineRun, inputOf, type TypedRun } from '../processor-run.ts'
import { done } from '../processor.ts'
import { imageConvert } from './image-convert.ts'

type Wishes = TypedRun<(typeof imageConvert)['parameters']>['parameters']

/** Result: { kind: 'picture', from, to, width, height, size_bytes, frames_count }. */
export const run = defineRun(imageConvert, async ({ parameters, outputFolder, ...rest }) => {
  const file = inputOf(rest)
  const picture = await openPicture(file)
  const allFrames = parameters.frames === 'all' && picture.framesCount > 1
  refuseImpossible(picture, parameters, allFrames)
  const { ending, contentType } = pictureFiles[parameters.to]
  const path = `picture.${ending}`
  const written = await decoding(async () => {
    const arrangedPicture = await arranged(picture, parameters, allFrames)
    return encoded(arrangedPicture, parameters.to, parameters.quality).toFile(join(outputFolder, path))
  })
  return done([{ path, name: `${baseName(file.name)}.${ending}`, contentType }], {
    kind: 'picture',
    from: picture.format,
    to: parameters.to,
    width: written.width,
    height: written.pageHeight ?? written.height,
    size_bytes: written.size,
    frames_count: allFrames ? picture.framesCount : 1,
  })
})

function refuseImpossible({ width, height }: Picture, { to, crop, rotate, frames }: Wishes, allFrames: boolean): void {
  if (crop !== undefined && (crop.left + crop.width > width || crop.top + crop.height > height))
    throw new Problem('parameters_invalid', {
      detail: `The part to keep lies outside of the picture, which has ${width} × ${height} pixels.`,
    })
  if (frames === 'all' && to !== 'gif' && to !== 'webp')
    throw new Problem('parameters_invalid', { detail: `An animation cannot be written as ${to}, only as gif or webp.` })
  if (allFrames && (crop !== undefined || rotate !== 0))
    throw new Problem('parameters_invalid', { detail: 'An animation can be resized, but neither cut nor turned.' })
}

/** Cut, then turned, then resized, as they are described. */
async function arranged(picture: Picture, wishes: Wishes, allFrames: boolean): Promise<Sharp> {
  const { crop, rotate, width, height, fit, enlarge, strip, to, background } = wishes
  let image = picture.decode({
    allFrames,
    ...(picture.format === 'svg' && { edge: Math.max(width ?? 0, height ?? 0, picture.width, picture.height) }),
  })
  if (crop !== undefined) image = image.extract(crop)
  if (rotate !== 0) {
    // Sharp turns before it cuts, in whatever order it is told to; so what was cut is handed to it anew.
    if (crop !== undefined) image = sharp(await image.keepMetadata().tiff({ compression: 'none' }).toBuffer())
    image = image.rotate(rotate, { background })
  }
  if (width !== undefined || height !== undefined)
    image = image.resize({
      ...(width !== undefined && { width }),
      ...(height !== undefined && { height }),
      fit,
      background,
      withoutEnlargement: !enlarge && picture.format !== 'svg',
    })
  if (to === 'jpeg') image = image.flatten({ background })
  return strip ? image.toColourspace('srgb') : image.keepMetadata()
}

/** "photo" of "folder/photo.jpg". */
const baseName = (name: string): string => {
  const last = name.split(/[/\\]/).at(-1) ?? ''
  return last.replace(/(?<=.)\.[^.]{1,10}$/, '') || 'picture'
}
