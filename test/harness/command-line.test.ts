import { expect, it, vi } from 'vitest'
import { readChoice, readNumber, runCommand, UsageError } from './command-line.ts'

const options = {
  count: { type: 'string', default: '5' },
  seed: { type: 'string' },
  list: { type: 'boolean' },
} as const

async function say(...words: string[]) {
  const told = { out: '', err: '' }
  const output = { log: (text: string) => void (told.out += text), error: (text: string) => void (told.err += text) }
  const run = vi.fn(async (values: { count: string; seed?: string }, names: string[]) => {
    const count = readNumber('count', values.count, { max: 10 })
    const seed = readNumber('seed', values.seed, { min: 0 })
    if (names[0] === 'none') throw new UsageError('There is no "none".')
    return names.length + count + (seed ?? 0)
  })
  const code = await runCommand(words, { usage: 'USAGE', options, namesMax: 2, run }, output)
  return { code, ...told, begun: run.mock.calls.length > 0 }
}

it('answers --help wherever it stands, and begins nothing', async () => {
  for (const words of [['--help'], ['-h'], ['name', '--help'], ['name', '--seed', '--help'], ['--bad', '--help']])
    expect(await say(...words)).toEqual({ code: 0, out: 'USAGE', err: '', begun: false })
})

it('gives what it understands to the command', async () => {
  expect(await say('a', 'b')).toMatchObject({ code: 7, out: '', err: '' })
  expect(await say('--count', '1', '--seed=0')).toMatchObject({ code: 1 })
})

it('says what it does not understand, and then its usage', async () => {
  for (const [words, sentence] of [
    [['--lst'], /--lst/],
    [['--seed'], /--seed/],
    [['--list=3'], /--list/],
    [['a', 'b', 'c'], /one name too many: "c"/],
    [['none'], /There is no "none"/],
    [['--count', '11'], /--count is "11"; it takes a whole number from 1 to 10\./],
    [['--count', '0'], /--count is "0"/],
    [['--count', '1e3'], /whole number/],
    [['--count', '2.5'], /whole number/],
    [['--count', ''], /--count is ""/],
    [['--seed', 'x'], /--seed is "x"; it takes a whole number of at least 0\./],
    [['--seed=-1'], /--seed is "-1"/],
  ] as const) {
    const { code, out, err } = await say(...words)
    expect([words, code, out]).toEqual([words, 2, ''])
    expect(err).toMatch(sentence)
    expect(err.endsWith('\n\nUSAGE')).toBe(true)
  }
})

it('reads parts of a whole and words of a list where they are asked for', () => {
  expect(readNumber('minutes', '2.5', { fractions: true })).toBe(2.5)
  expect(() => readNumber('minutes', '.5', { fractions: true })).toThrow('a number of at least 1')
  expect(readChoice('shape', 'split', ['one-process', 'split'])).toBe('split')
  expect(() => readChoice('shape', 'round', ['one-process', 'split'])).toThrow('one of one-process, split')
})

it('leaves what goes wrong later to whoever started it', async () => {
  const run = () => Promise.reject(new Error('broken'))
  await expect(runCommand([], { usage: '', options: {}, namesMax: 0, run })).rejects.toThrow('broken')
})
