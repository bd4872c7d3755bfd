// image.thumbnail: small copies of a picture, to be shown in lists and pages.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

/** What the picture processors open; among them types that they can only say about why they cannot decode them. */
export const pictureTypes = ['image/*']

export const imageThumbnail = defineProcessor({
  name: 'image.thumbnail',
  stage: 'transform',
  version: 2,
  summary:
    'Makes small copies of a picture in several sizes from one decode, upright, in sRGB and without metadata; tells a blurhash and the dominant colour.',
  accepts: pictureTypes,
  parameters: Type.Object(
    {
      sizes: Type.Array(Type.Integer({ minimum: 16, maximum: 4096 }), {
        minItems: 1,
        maxItems: 10,
        uniqueItems: true,
        default: [320, 800, 1600],
        description: 'Longest edge of each copy in pixels. No copy is larger than the picture.',
      }),
      fit: Type.Enum(['inside', 'cover'], {
        default: 'inside',
        description: 'inside keeps the whole picture; cover cuts a square out of its middle.',
      }),
      format: Type.Enum(['jpeg', 'webp', 'png', 'avif'], {
        default: 'jpeg',
        description: 'Format of the copies. AVIF is the smallest and takes ten times as long.',
      }),
      quality: Type.Integer({ minimum: 1, maximum: 100, default: 80, description: 'Of JPEG, WebP and AVIF.' }),
      background: Type.String({
        pattern: '^#[0-9a-fA-F]{6}$',
        default: '#ffffff',
        description: 'What shows through transparent parts in JPEG, which has none.',
      }),
      damaged: Type.Enum(['reject', 'allow'], {
        default: 'reject',
        description: 'Whether a picture with damaged pixels fails the step, or is shown as far as it can be decoded.',
      }),
    },
    { additionalProperties: false },
  ),
  limits: { memoryBytes: 1536 * 1024 ** 2, timeoutMs: 120_000, outputBytesMax: 256 * 1024 ** 2, outputFilesMax: 10 },
  costClass: 'M',
  cost: { baseMs: 12, perMbMs: 16 },
  isolation: 'warm',
})
