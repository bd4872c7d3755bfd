// eld: Apache-2.0, its data inside. Loading them is what a detection costs: 0.43 s and 190 MB for the medium ones, 0.17 s and
// 90 MB for the extra small ones. Of 760 pieces in 59 languages (the Declaration of Human Rights) both are right about as many
// from 250 characters on (94.1 and 94.0 %), and the medium ones about more of the shorter (92.8 and 91.7 % of 60 characters).

import { defineRun } from '../processor-run.ts'
import { done } from '../processor.ts'
import { readTexts, textFilesOf } from '../text-input.ts'
import { textLanguage } from './text-language.ts'

interface TextLanguage {
  kind: 'text-language'
  /** ISO 639-1; null when there is too little text to tell. */
  language: string | null
  /** From 0 to 1, of the language. */
  confidence: number
  /** Best first, the language included. */
  candidates: { language: string; confidence: number }[]
  /** Letters that were looked at. */
  letters_count: number
}

/** Read from the beginning; of it parts are judged. */
const charactersReadMax = 1_000_000
const partsCountMax = 12
/** As much as eld looks at. */
const partCharacters = 1_000
const candidatesCountMax = 5
/** Fewer letters are a name or a number. */
const lettersCountMin = 12
/** From so many on the smallest data are as good as the others. */
const lettersCountLong = 500

/** Result: TextLanguage. Files that are no text, and files without text, have no language. */
export const run = defineRun(textLanguage, async ({ files, results }) => {
  const texts = textFilesOf(files)
  const text = texts.length === 0 ? textOfResults(results) : await readTexts(texts, charactersReadMax)
  return done([], await languageOf(text))
})

/** Steps that read without writing a file tell their text in their result. */
function textOfResults(results: Record<string, unknown>): string {
  return Object.values(results)
    .flatMap((result) => (typeof result === 'object' && result !== null && 'text' in result ? [result.text] : []))
    .filter((text) => typeof text === 'string')
    .join('\n')
    .slice(0, charactersReadMax)
}

async function languageOf(text: string): Promise<TextLanguage> {
  const parts = partsOf(text)
  const lettersCount = parts.join('').match(/\p{L}/gu)?.length ?? 0
  const nothing: TextLanguage = {
    kind: 'text-language',
    language: null,
    confidence: 0,
    candidates: [],
    letters_count: lettersCount,
  }
  if (lettersCount < lettersCountMin) return nothing
  const { eld } = await (lettersCount < lettersCountLong ? import('eld/medium') : import('eld/extrasmall'))
  const sums = new Map<string, number>()
  for (const part of parts)
    for (const [language, score] of Object.entries(eld.detect(part).getScores()))
      sums.set(language, (sums.get(language) ?? 0) + score)
  const candidates = [...sums]
    .map(([language, sum]) => ({ language, confidence: Math.round(Math.min(1, sum / parts.length) * 1000) / 1000 }))
    .sort((left, right) => right.confidence - left.confidence)
    .slice(0, candidatesCountMax)
  const [best] = candidates
  if (best === undefined) return nothing
  return { ...nothing, language: best.language, confidence: best.confidence, candidates }
}

/** Parts from all over the text, judged one by one, so that a foreign title page does not decide. */
function partsOf(text: string): string[] {
  if (text.length <= partCharacters) return [text]
  const count = Math.min(partsCountMax, Math.ceil(text.length / partCharacters))
  const step = (text.length - partCharacters) / (count - 1)
  return Array.from({ length: count }, (_, part) =>
    text.slice(Math.floor(part * step), Math.floor(part * step) + partCharacters),
  )
}
