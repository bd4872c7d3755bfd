import { expect, test } from 'vitest'
import { runProcessor } from '../testing/run-processor.ts'
import { findPersonalData } from './personal-data.ts'
import { run } from './text-pii.run.ts'
import { piiKinds } from './text-pii.ts'

const all = new Set(piiKinds)
const found = (text: string): string[] =>
  findPersonalData(text, all).map(
    ({ kind, country, start, end }) => `${kind}${country === undefined ? '' : `-${country}`}:${text.slice(start, end)}`,
  )

test.each([
  ['write to Ada.Writer+x@mail.example.co.uk.', ['email:Ada.Writer+x@mail.example.co.uk']],
  ['IBAN DE89 3704 0044 0532 0130 00 AND MORE', ['iban:DE89 3704 0044 0532 0130 00']],
  ['GB82WEST12345698765432, CH9300762011623852957', ['iban:GB82WEST12345698765432', 'iban:CH9300762011623852957']],
  ['card 4111 1111 1111 1111 or 5500-0000-0000-0004', ['card:4111 1111 1111 1111', 'card:5500-0000-0000-0004']],
  ['from 192.168.10.254 and 2001:db8::ff00:42:8329', ['ip:192.168.10.254', 'ip:2001:db8::ff00:42:8329']],
  ['call +41 (0)44 668 18 00 or (555) 010-1234', ['phone:+41 (0)44 668 18 00', 'phone:(555) 010-1234']],
  ['SSN 123-45-6789, NINO AB 12 34 56 C', ['national_id-US:123-45-6789', 'national_id-GB:AB 12 34 56 C']],
  ['AHV 756.9217.0769.85', ['national_id-CH:756.9217.0769.85']],
  ['NIR 2 55 08 14 168 025 38', ['national_id-FR:2 55 08 14 168 025 38']],
  ['DNI 12345678Z, NIE X1234567L', ['national_id-ES:12345678Z', 'national_id-ES:X1234567L']],
  ['CF RSSMRA85T10A562S', ['national_id-IT:RSSMRA85T10A562S']],
])('%s', (text, expected) => {
  expect(found(text)).toEqual(expected)
})

test.each([
  'DE89 3704 0044 0532 0130 01 has wrong check digits',
  '4111 1111 1111 1112 has no Luhn digit, 0000 0000 0000 0000 is none',
  '300.1.2.3 and 1.2.3.4.5 and 12:30:45 and a::b::c',
  '000-12-3456, 666-12-3456, 123-45-67890, 756.9217.0769.86, 12345678A, RSSMRA85T10A562T',
  'user@localhost, @handle, a@b, .a@b.de, x@-y.com, 3 @ 4.50',
  'order 20241125093000123, version 10.2.3, 2024-11-25, 3.14159265358979',
])('%s: nothing is found', (text) => {
  expect(found(text)).toEqual([])
})

test('hostile text takes time in proportion to its length', () => {
  for (const piece of ['a', '@', 'a.', 'a@', '1', '1 ', '+1', '1.', ':', 'a:', 'AB12', '(', '-', 'a@b.'])
    findPersonalData(piece.repeat(100_000), all)
  // A pattern that backtracks without bound would not come to an end.
})

const text = (bytes: string) => ({ name: 'letter.txt', contentType: 'text/plain', bytes })

test('a report tells kinds, places and no values', async () => {
  await using ran = await runProcessor(run, [
    text('Hello\nmail ada@example.org now, mail bob@example.org\n+41446681800'),
  ])
  expect(ran.outcome).toMatchObject({
    kind: 'done',
    outputs: [],
    recordsCount: 3,
    result: {
      kind: 'personal-data',
      found_count: 3,
      counts: { email: 2, phone: 1 },
      findings: [
        { kind: 'email', country: null, file: 'letter.txt', line: 2, column: 6, masked: 'ad***********rg' },
        { line: 2, column: 32 },
        { kind: 'phone', line: 3, column: 1 },
      ],
    },
  })
  expect(JSON.stringify(ran.outcome)).not.toContain('example')
})

test('masked and hashed copies keep everything else, and equal values stay equal', async () => {
  const original = 'a@b.org, A@B.org; DE89370400440532013000 = DE89 3704 0044 0532 0130 00 end\n'
  await using masked = await runProcessor(run, [text(original)], { parameters: { mode: 'mask' } })
  expect(masked.outputs[0]).toMatchObject({ name: 'letter.redacted.txt', contentType: 'text/plain' })
  expect(masked.outputs[0]?.bytes.toString()).toBe('[email], [email]; [iban] = [iban] end\n')
  await using hashed = await runProcessor(run, [text(original)], {
    parameters: { mode: 'hash', kinds: ['iban', 'email'] },
  })
  const [, first, second, third, fourth] =
    /^\[email:(\w{16})\], \[email:(\w{16})\]; \[iban:(\w{16})\] = \[iban:(\w{16})\] end\n$/u.exec(
      hashed.outputs[0]?.bytes.toString() ?? '',
    ) ?? []
  expect(first).toBeDefined()
  expect([first, third]).toEqual([second, fourth])
  const keyed = async (file: string) => {
    await using ran = await runProcessor(run, [text(file)], { parameters: { mode: 'hash', hash_key: 'k'.repeat(16) } })
    return ran.outputs[0]?.bytes.toString()
  }
  expect((await keyed('x@y.org one'))?.slice(0, 20)).toBe((await keyed('x@y.org two'))?.slice(0, 20))
})

test('what lies over the border between two chunks is found as well', async () => {
  for (const filler of ['x '.repeat(524_278), 'y'.repeat(1_048_570)]) {
    await using ran = await runProcessor(run, [text(`${filler} ada@example.org`)], { parameters: { mode: 'mask' } })
    expect(ran.outputs[0]?.bytes.toString().endsWith(' [email]')).toBe(true)
    expect(ran.outputs[0]?.bytes.length).toBe(filler.length + ' [email]'.length)
  }
})
