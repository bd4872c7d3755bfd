import { createHmac } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { decodedChunks, detectEncoding } from '../formats/text-encoding.ts'
import { outputName } from '../output-name.ts'
import { defineRun, inputOf, type TypedRun } from '../processor-run.ts'
import { done, type InputFile, type OutputFile } from '../processor.ts'
import { textFilesOf } from '../text-input.ts'
import { datumCharactersMax, findPersonalData, type PersonalDatum } from './personal-data.ts'
import { textPii, type PiiKind } from './text-pii.ts'

type Wishes = TypedRun<(typeof textPii)['parameters']>['parameters']

interface Finding {
  kind: PiiKind
  /** Of a national id: ISO 3166-1. */
  country: string | null
  file: string
  /** From 1. */
  line: number
  column: number
  /** The value with all but its ends hidden. */
  masked: string
}

interface Tally {
  counts: Map<PiiKind, number>
  findings: Finding[]
}

const hashCharacters = 16
/** A document is one file; of more the first ones are read, and the result says so. */
const filesCountMax = 100

/**
 * Outputs of mask and hash: name.redacted.ending, as many as there are texts. Result: { kind: 'personal-data', found,
 * counts, findings, files_left_out_count }, which never holds a value that was found. recordsCount is the number found.
 */
export const run = defineRun(textPii, async ({ parameters, outputFolder, files, file: ofJob }) => {
  const all = textFilesOf(files)
  const texts = all.length === 0 ? [inputOf({ files })] : all.slice(0, filesCountMax)
  const tally: Tally = { counts: new Map(), findings: [] }
  const key = parameters.hash_key ?? ofJob.sha256
  const outputs: OutputFile[] = []
  for (const [index, file] of texts.entries()) {
    const redacted = redact({ file, wishes: parameters, key, tally })
    if (parameters.mode === 'report') await pipeline(redacted, nowhere())
    else {
      const path = `redacted-${index}`
      await pipeline(redacted, createWriteStream(join(outputFolder, path)))
      const ending = /\.[A-Za-z0-9]{1,10}$/u.exec(file.name)?.[0] ?? '.txt'
      outputs.push({ path, name: outputName(file.name, `.redacted${ending}`), contentType: file.contentType })
    }
  }
  const found = [...tally.counts.values()].reduce((sum, count) => sum + count, 0)
  const result = {
    kind: 'personal-data',
    found_count: found,
    counts: Object.fromEntries(tally.counts),
    findings: tally.findings,
    files_left_out_count: Math.max(0, all.length - texts.length),
  }
  return done(outputs, result, { recordsCount: found })
})

const nowhere = (): Writable => new Writable({ write: (_chunk, _encoding, written) => written() })

/** The text of a file with what was found replaced, and counted in `tally`. */
async function* redact(options: {
  file: InputFile
  wishes: Wishes
  key: string
  tally: Tally
}): AsyncGenerator<string> {
  const { file, wishes, key, tally } = options
  const kinds = new Set(wishes.kinds)
  const place = { line: 1, column: 1 }
  for await (const piece of wholePieces(decodedChunks(file.path, await detectEncoding(file.path)))) {
    let at = 0
    let redacted = ''
    for (const datum of findPersonalData(piece, kinds)) {
      const value = piece.slice(datum.start, datum.end)
      const before = piece.slice(at, datum.start)
      walk(place, before)
      count(tally, { datum, value, file: file.name, ...place, findingsMax: wishes.findings_max })
      walk(place, value)
      redacted += before + replacement(wishes.mode, datum, value, key)
      at = datum.end
    }
    walk(place, piece.slice(at))
    yield redacted + piece.slice(at)
  }
}

/** Pieces that end where nothing that is looked for goes on: at the end of a line, or at least between two words. */
async function* wholePieces(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of chunks) {
    const text = rest + chunk
    const lineEnd = text.lastIndexOf('\n') + 1
    const wordEnd = text.lastIndexOf(' ', text.length - datumCharactersMax) + 1
    const end =
      lineEnd > 0 ? lineEnd : text.length > datumCharactersMax ? wordEnd || text.length - datumCharactersMax : 0
    if (end > 0) yield text.slice(0, end)
    rest = text.slice(end)
  }
  if (rest !== '') yield rest
}

function walk(place: { line: number; column: number }, text: string): void {
  let from = 0
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
    place.line += 1
    place.column = 1
    from = end + 1
  }
  place.column += text.length - from
}

function count(
  tally: Tally,
  found: { datum: PersonalDatum; value: string; file: string; line: number; column: number; findingsMax: number },
): void {
  const { datum, value, file, line, column, findingsMax } = found
  tally.counts.set(datum.kind, (tally.counts.get(datum.kind) ?? 0) + 1)
  if (tally.findings.length < findingsMax)
    tally.findings.push({ kind: datum.kind, country: datum.country ?? null, file, line, column, masked: masked(value) })
}

/** A third at most stays to be seen, so that a person finds the place and nobody the value. */
function masked(value: string): string {
  const shown = Math.min(2, Math.floor(value.length / 6))
  return value.slice(0, shown) + '*'.repeat(value.length - 2 * shown) + value.slice(value.length - shown)
}

function replacement(mode: Wishes['mode'], { kind }: PersonalDatum, value: string, key: string): string {
  if (mode !== 'hash') return `[${kind}]`
  // The same number is often written in different ways.
  const plain = kind === 'email' ? value.toLowerCase() : value.replaceAll(/[^A-Za-z0-9:]/gu, '').toUpperCase()
  return `[${kind}:${createHmac('sha256', key).update(`${kind} ${plain}`).digest('hex').slice(0, hashCharacters)}]`
}
