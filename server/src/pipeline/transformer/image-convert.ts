// image.convert: a picture in another format, size or position.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

/** The largest that every format can be written in. */
const edgeMax = 16_383
const Edge = (description: string) => Type.Optional(Type.Integer({ minimum: 1, maximum: edgeMax, description }))

export const imageConvert = defineProcessor({
  name: 'image.convert',
  stage: 'transform',
  version: 1,
  summary: 'Writes a picture as JPEG, PNG, WebP, AVIF, TIFF or GIF, upright; cut, turned and resized on the way.',
  accepts: ['image/*'],
  parameters: Type.Object(
    {
      to: Type.Enum(['jpeg', 'png', 'webp', 'avif', 'tiff', 'gif'], {
        default: 'webp',
        description: 'Format to write.',
      }),
      quality: Type.Integer({ minimum: 1, maximum: 100, default: 80, description: 'Of JPEG, WebP, AVIF and TIFF.' }),
      crop: Type.Optional(
        Type.Object(
          {
            left: Type.Integer({ minimum: 0, maximum: edgeMax * 4 }),
            top: Type.Integer({ minimum: 0, maximum: edgeMax * 4 }),
            width: Type.Integer({ minimum: 1, maximum: edgeMax * 4 }),
            height: Type.Integer({ minimum: 1, maximum: edgeMax * 4 }),
          },
          { additionalProperties: false, description: 'The part that is kept, in pixels of the upright picture.' },
        ),
      ),
      rotate: Type.Integer({
        minimum: -360,
        maximum: 360,
        default: 0,
        description: 'Degrees to turn it clockwise, after the cut.',
      }),
      width: Edge('Width to fit into, in pixels. As it is when both are absent.'),
      height: Edge('Height to fit into, in pixels.'),
      fit: Type.Enum(['inside', 'cover', 'contain', 'fill'], {
        default: 'inside',
        description:
          'inside keeps the proportions within both edges; cover cuts what does not fit; contain adds a border; fill distorts.',
      }),
      enlarge: Type.Boolean({ default: false, description: 'Whether a smaller picture is made larger.' }),
      strip: Type.Boolean({
        default: true,
        description: 'Leaves metadata and the colour profile out; the colours are turned into sRGB.',
      }),
      background: Type.String({
        pattern: '^#[0-9a-fA-F]{6}$',
        default: '#ffffff',
        description: 'Behind transparent parts in formats without any, beside what was turned, and of borders.',
      }),
      frames: Type.Enum(['first', 'all'], {
        default: 'first',
        description: 'Of an animation; all of them can be written as GIF and WebP, and only resized.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 2 * 1024 ** 3, timeoutMs: 300_000, outputBytesMax: 1024 ** 3, outputFilesMax: 1 },
  costClass: 'L',
  cost: { baseMs: 20, perMbMs: 80 },
  isolation: 'warm',
})
