import { expect, test } from 'vitest'
import { runProcessor } from '../testing/run-processor.ts'
import { run } from './classify-rules.run.ts'

const invoice = { name: 'scan 12.txt', contentType: 'text/plain', bytes: 'INVOICE no. 12\nTotal: 40 CHF' }

async function classified(rules: { label: string; when: string; retention_class?: string }[]) {
  const results = { pii: { found_count: 2, counts: { iban: 1 } }, pages: [{ needs_ocr: false }] }
  await using ran = await runProcessor(run, [invoice], { parameters: { rules }, results })
  return ran.outcome
}

test('every rule that holds gives its label, and the first of them its retention class', async () => {
  expect(
    await classified([
      { label: 'invoice', when: 'text.contains("invoice") && file.size_bytes < 1000' },
      { label: 'financial', when: 'results.pii.counts.iban > 0', retention_class: 'ten-years' },
      { label: 'scan', when: 'file.name.startsWith("scan")', retention_class: 'one-year' },
      { label: 'large', when: 'file.size_bytes > 1000' },
      { label: 'ocr', when: 'results.pages.exists(p, p.needs_ocr)' },
    ]),
  ).toMatchObject({
    kind: 'done',
    outputs: [],
    result: {
      kind: 'classification',
      labels: ['invoice', 'financial', 'scan'],
      retention_class: 'ten-years',
      rules: [{ holds: true, error: null }, {}, {}, { label: 'large', holds: false, error: null }, { holds: false }],
    },
  })
})

test('a rule about what is not there does not hold and says why; the others are not harmed', async () => {
  const outcome = await classified([
    { label: 'a', when: 'results.nothing.count > 1' },
    { label: 'b', when: 'has(results.pii.counts.iban)' },
  ])
  expect(outcome).toMatchObject({ result: { labels: ['b'], rules: [{ holds: false, error: expect.any(String) }, {}] } })
})

test.each(['1 +', 'file.name', 'unknown > 1', 'text', '1 + 1', `${'('.repeat(200)}true${')'.repeat(200)}`])(
  '%s is no rule',
  async (when) => {
    const outcome = await classified([{ label: 'x', when }])
    // What a map holds is only known when it is looked at.
    if (when === 'file.name') expect(outcome).toMatchObject({ result: { labels: [], rules: [{ holds: false }] } })
    else expect(outcome).toMatchObject({ kind: 'reject', code: 'parameters_invalid' })
  },
)
