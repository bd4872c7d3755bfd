import { expect, test } from 'vitest'
import { cleanJson, namesOf, readOutcome, resultBytesMax } from './outcome.ts'

const limits = { outputFilesMax: 2 }
const done = (fields: object) => readOutcome({ kind: 'done', outputs: [], result: null, ...fields }, limits)
const output = { path: 'a/b.jpg', name: 'b.jpg', contentType: 'image/jpeg' }

test('an outcome is copied field by field, and nothing else of it', () => {
  expect(
    done({ outputs: [{ ...output, as: 'file', mode: 0o777 }], recordsCount: 3, foundText: 'x', extra: 1 }),
  ).toEqual({
    kind: 'done',
    outputs: [{ ...output, as: 'file' }],
    result: null,
    recordsCount: 3,
    foundText: 'x',
  })
  expect(done({ recordsCount: -1, foundText: 'x'.repeat(1_000_001) })).toMatchObject({ recordsCount: 0 })
  expect(done({ recordsCount: 1e300 })).not.toHaveProperty('recordsCount')
})

test('a name is measured in characters, as the names of files are', () => {
  expect(done({ outputs: [{ ...output, name: '🌾'.repeat(4_000) }] })).toMatchObject({ kind: 'done' })
  expect(() => done({ outputs: [{ ...output, name: '🌾'.repeat(4_001) }] })).toThrow(
    expect.objectContaining({ code: 'output_invalid' }),
  )
})

test.each([
  [{ outputs: 'many' }],
  [{ outputs: [null] }],
  [{ outputs: [{ ...output, path: '../x' }] }],
  [{ outputs: [{ ...output, path: 1 }] }],
  [{ outputs: [{ ...output, name: '' }] }],
  [{ outputs: [{ ...output, contentType: 'image/*\r\nx: y' }] }],
  [{ outputs: [{ ...output, as: 'original' }] }],
])('an outcome of another shape is output_invalid: %j', (fields) => {
  expect(() => done(fields)).toThrow(expect.objectContaining({ code: 'output_invalid' }))
})

test('more outputs than the limit, or a larger result, is output_limit_exceeded', () => {
  const tooMuch = expect.objectContaining({ code: 'output_limit_exceeded' })
  expect(() => done({ outputs: [output, output, output] })).toThrow(tooMuch)
  expect(() => done({ result: 'x'.repeat(resultBytesMax) })).toThrow(tooMuch)
  expect(() => done({ result: Array.from({ length: resultBytesMax }, () => 0) })).toThrow(tooMuch)
})

test('a result loses what no database stores and what pollutes prototypes', () => {
  const hostile: unknown = JSON.parse(
    '{"__proto__":{"a":1},"a\\u0000b":"c\\u0000d\\ud800","nested":{"__proto__":1,"x":[1]}}',
  )
  const clean = cleanJson(hostile)
  expect(JSON.stringify(clean)).toBe('{"ab":"cd\ufffd","nested":{"x":[1]}}')
  expect(Object.getPrototypeOf(clean)).toBe(Object.prototype)
})

test('a path leads to one place below the folder or nowhere', () => {
  expect(namesOf('a/b c/d.txt')).toEqual(['a', 'b c', 'd.txt'])
  for (const path of [
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    'a/../b',
    './a',
    'a\\b',
    'c:/a',
    'a\0',
    'x'.repeat(256),
    'a/'.repeat(16) + 'a',
  ])
    expect(namesOf(path)).toBeUndefined()
})
