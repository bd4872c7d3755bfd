import { expect, test } from 'vitest'
import { runProcessor, type TestFile } from '../testing/run-processor.ts'
import { run } from './text-language.run.ts'

const text = (bytes: string, contentType = 'text/plain'): TestFile => ({ name: 'a.txt', contentType, bytes })

async function told(files: TestFile[], results: Record<string, unknown> = {}): Promise<unknown> {
  await using ran = await runProcessor(run, files, { results })
  if (ran.outcome.kind !== 'done') throw new Error(JSON.stringify(ran.outcome))
  return ran.outcome.result
}

test.each([
  ['en', 'The committee will meet again on Thursday to discuss what should be done about the harbour.'],
  ['de', 'Der Ausschuss tritt am Donnerstag wieder zusammen, um über den Hafen zu beraten.'],
  ['fr', 'Le comité se réunira de nouveau jeudi pour discuter de ce qu’il faut faire du port.'],
  ['ru', 'Комитет соберётся снова в четверг, чтобы обсудить, что делать с гаванью.'],
  ['ja', '委員会は木曜日に再び集まり、港について何をすべきかを話し合う。'],
  ['ar', 'ستجتمع اللجنة مرة أخرى يوم الخميس لمناقشة ما يجب عمله بشأن الميناء.'],
])('%s is told, by a sentence and by a page', async (language, sentence) => {
  for (const words of [sentence, `${sentence} `.repeat(30)])
    expect(await told([text(words)])).toMatchObject({ kind: 'text-language', language })
})

test('a foreign beginning does not decide over a long text', async () => {
  const english = 'It was the best of times, it was the worst of times, and nobody knew which of the two. '
  expect(
    await told([text(`${'Ein deutsches Vorwort steht hier am Anfang. '.repeat(10)}${english.repeat(400)}`)]),
  ).toMatchObject({
    language: 'en',
  })
})

test('what is too short, no text or empty has no language', async () => {
  for (const bytes of ['', '42', '1 2 3 4 5 6 7 8 9 10 11 12 13', 'Ann Lee'])
    expect(await told([text(bytes)])).toMatchObject({ language: null, confidence: 0, candidates: [] })
  expect(await told([text('%PDF-1.7', 'application/pdf')])).toMatchObject({ language: null })
})

test('plain text is preferred to its parts, and results stand in where there is no text file', async () => {
  const files = [
    text('[{"number":1,"text":"x"}]', 'application/json'),
    text('Una mattina mi sono svegliato presto e sono andato al mare.'),
  ]
  expect(await told(files)).toMatchObject({ language: 'it' })
  const results = { ocr: { kind: 'ocr', text: 'Esta mañana me desperté temprano y fui andando hasta la playa.' } }
  expect(await told([], results)).toMatchObject({ language: 'es' })
})
