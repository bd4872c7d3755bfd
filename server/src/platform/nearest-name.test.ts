import { expect, it } from 'vitest'
import { nearestName } from './nearest-name.ts'

it.each([
  ['thumbnail', 'image.thumbnail'],
  ['image-thumbnail', 'image.thumbnail'],
  ['imgae.thumbnail', 'image.thumbnail'],
  ['Data.Convert', 'data.convert'],
  ['table.convert', 'data.convert'],
  ['text_document', 'document.text'],
  ['text.ocr', undefined],
  ['', undefined],
  ['x'.repeat(10_000), undefined],
])('%s is taken for %s', (word, name) => {
  expect(nearestName(word, ['data.convert', 'image.thumbnail', 'document.text'])).toBe(name)
})
