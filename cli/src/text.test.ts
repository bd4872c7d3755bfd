import { describe, expect, it } from 'vitest'
import { createConsole } from './console.ts'
import { safeRelativePath, safeSegment } from './safe-path.ts'
import { formatBytes, formatSeconds, printable, shorten, tableLines, widthOf } from './text.ts'

describe('text for a terminal', () => {
  it('holds nothing that a terminal would obey', () => {
    expect(printable('a\u001b[2Jb\r\nc\u202egpj.exe')).toBe('a\\u{1b}[2Jb\\u{d}⏎c\\u{202e}gpj.exe')
  })

  it('is measured in columns, not in characters', () => {
    expect([widthOf('abc'), widthOf('日本'), widthOf('👩‍👩‍👧'), widthOf('e\u0301')]).toEqual([3, 4, 2, 1])
  })

  it('is shortened in the middle, so that the extension stays', () => {
    expect(shorten('a-very-long-name-of-a-photo.jpeg', 16)).toBe('a-very-lon….jpeg')
    expect(widthOf(shorten('日本語日本語日本語', 7))).toBeLessThanOrEqual(7)
  })

  it('stands in columns', () => {
    const rows = [
      { name: '日本', count: 5 },
      { name: 'a', count: 12 },
    ]
    const lines = tableLines(rows, [
      { title: 'NAME', value: (row) => row.name },
      { title: 'N', value: (row) => String(row.count), align: 'right' },
    ])
    expect(lines).toEqual(['NAME   N', '日本   5', 'a     12'])
  })

  it('gives figures with as many digits as mean something', () => {
    expect([0, 999, 1_500, 24_000_000, 999_700].map(formatBytes)).toEqual(['0 B', '999 B', '1.5 kB', '24 MB', '1.0 MB'])
    expect([41, 1_340, 12_400].map(formatSeconds)).toEqual(['0.04', '1.3', '12'])
  })
})

describe('a path for an output', () => {
  it.each([
    '..',
    '.',
    '',
    '/',
    'CON',
    'nul.txt',
    ' ',
    'a/../../b',
    'x'.repeat(500),
    '\ud800',
    '日'.repeat(200) + '.png',
  ])('is one harmless segment for %j', (name) => {
    const segment = safeSegment(name)
    expect(segment).not.toMatch(/^\.|[/\\]|[. ]$|^(con|nul)(\.|$)/i)
    expect(Buffer.byteLength(segment)).toBeLessThanOrEqual(201)
    expect(segment.length).toBeGreaterThan(0)
  })

  it('keeps the folders of an archive member, but never leads out', () => {
    expect(safeRelativePath('a/b/c.txt')).toBe('a/b/c.txt')
    expect(safeRelativePath('../../a')).toBe('_/_/a')
    expect(safeRelativePath('C:\\x')).toBe('C_/x')
  })
})

describe('the console', () => {
  const open = (isTTY: boolean, environment: Record<string, string> = {}) => {
    let text = ''
    const sink = { write: (piece: string) => (text += piece), isTTY, columns: 40, rows: 20 }
    return { console: createConsole({ out: sink, err: sink, json: false, environment }), text: () => text }
  }

  it('moves no cursor and colours nothing without a terminal', () => {
    const { console, text } = open(false)
    console.setStatus(['busy'])
    console.print(console.style('red', 'line'))
    expect(text()).toBe('line\n')
  })

  it('draws status lines below what it prints, and takes them away', () => {
    const { console, text } = open(true)
    console.setStatus(['busy'])
    console.print('line')
    console.setStatus([])
    expect(text()).toBe('busy\n\u001b[1A\u001b[0Jline\nbusy\n\u001b[1A\u001b[0J')
  })

  it('honours NO_COLOR', () => {
    expect(open(true, { NO_COLOR: '1' }).console.style('red', 'x')).toBe('x')
    expect(open(true).console.style('red', 'x')).toContain('\u001b[31m')
  })
})
