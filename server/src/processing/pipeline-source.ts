// The text of a pipeline as plain values, with the place of each. YAML 1.2, of which JSON is a part.
//
// The text is a stranger's and is read inside the server, so its cost is bounded before the YAML library sees it: that
// library recurses as deep as the text nests, and compares every key with every other one when it is to find repeated
// ones (four seconds for 20,000 keys), which is therefore done here.

import type { FieldError } from '@millrace/contract'
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Alias, type Document } from 'yaml'
import { pointerPart } from '../platform/schema-faults.ts'

export const sourceCharactersMax = 100_000
const depthMax = 20
const valuesCountMax = 10_000
export const faultsCountMax = 100

type Located = Pick<FieldError, 'line' | 'column'>

export interface PipelineSource {
  value: unknown
  /** Where the value at a JSON pointer stands, or its key; the nearest place around it when it is not there. */
  locate(pointer: string, part?: 'value' | 'key'): Located
  /** Faults that leave the rest readable: repeated keys, aliases of nothing, text that cannot be kept. */
  faults: FieldError[]
}

/** The values of the text, or why it cannot be read. */
export function readPipelineSource(text: string): PipelineSource | { faults: FieldError[] } {
  if (text.length > sourceCharactersMax)
    return refuse(`The definition is longer than ${sourceCharactersMax.toLocaleString('en')} characters.`)
  if (nestsTooDeep(text)) return refuse(`The definition nests deeper than ${depthMax} levels.`)
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: false, stringKeys: true })
  const placeAt = (offset: number): Located => {
    const { line, col } = lineCounter.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  if (document.errors.length > 0) {
    const faults = document.errors.slice(0, faultsCountMax).map((error) => ({
      path: '',
      ...placeAt(error.pos[0]),
      message: syntaxMessages[error.code] ?? `${error.message.replace(/\.$/, '')}.`,
    }))
    return { faults }
  }
  return new Walk(document, placeAt).read()
}

const refuse = (message: string): { faults: FieldError[] } => ({ faults: [{ path: '', line: 1, column: 1, message }] })

const syntaxMessages: Partial<Record<string, string>> = {
  MULTIPLE_DOCS: 'A definition is one document; this one begins another.',
  NON_STRING_KEY: 'A key must be plain text.',
  RESOURCE_EXHAUSTION: 'The definition nests too deep.',
}

/** Brackets that stand open at once, and list marks in a row on one line; more is certainly no pipeline. */
function nestsTooDeep(text: string): boolean {
  let open = 0
  for (const character of text) {
    if (character === '[' || character === '{') open += 1
    else if (character === ']' || character === '}') open -= 1
    if (open > depthMax * 5) return true
  }
  return /^[ \t]*(?:[-?:][ \t]+){50}/m.test(text)
}

class Walk {
  private readonly places = new Map<string, { key?: number; value?: number }>()
  private readonly faults: FieldError[] = []
  private valuesCount = 0
  private refusal: FieldError | undefined
  private readonly anchors = new Map<string, unknown>()
  private readonly document: Document
  private readonly placeAt: (offset: number) => Located

  constructor(document: Document, placeAt: (offset: number) => Located) {
    this.document = document
    this.placeAt = placeAt
  }

  read(): PipelineSource | { faults: FieldError[] } {
    const value = this.valueOf(this.document.contents, '', 0)
    if (this.refusal) return { faults: [this.refusal] }
    return { value, faults: this.faults, locate: (pointer, part = 'value') => this.locate(pointer, part) }
  }

  private locate(pointer: string, part: 'value' | 'key'): Located {
    for (let at = pointer; ; at = at.slice(0, at.lastIndexOf('/'))) {
      const place = this.places.get(at)
      // Of something missing, the key of what it is missing from.
      const offset = at === pointer && part === 'value' ? (place?.value ?? place?.key) : (place?.key ?? place?.value)
      if (offset !== undefined) return this.placeAt(offset)
      if (at === '') return { line: 1, column: 1 }
    }
  }

  private valueOf(node: unknown, pointer: string, depth: number): unknown {
    this.valuesCount += 1
    if (this.refusal) return null
    if (depth > depthMax || this.valuesCount > valuesCountMax) {
      const bound = depth > depthMax ? `nests deeper than ${depthMax} levels` : `has more than ${valuesCountMax} values`
      this.refusal = { path: pointer, ...this.locate(pointer, 'value'), message: `The definition ${bound}.` }
      return null
    }
    if (isAlias(node)) return this.aliasOf(node, pointer, depth)
    if (!isMap(node) && !isSeq(node) && !isScalar(node)) return null
    this.places.set(pointer, { ...this.places.get(pointer), value: node.range?.[0] ?? 0 })
    if (node.anchor !== undefined) this.anchors.set(node.anchor, node)
    if (isScalar(node)) {
      this.requireStorable(node.value, pointer, node.range?.[0])
      return node.value
    }
    if (isSeq(node)) return node.items.map((item, index) => this.valueOf(item, pointer + pointerPart(index), depth + 1))
    return this.mapOf(node.items, pointer, depth)
  }

  /** The library's own way to an anchor is a walk through the whole document. */
  private aliasOf({ source, range }: Alias, pointer: string, depth: number): unknown {
    if (this.anchors.has(source)) return this.valueOf(this.anchors.get(source), pointer, depth + 1)
    const message = `There is no anchor "${source}" above.`
    this.faults.push({ path: pointer, ...this.placeAt(range?.[0] ?? 0), message })
    return null
  }

  /** What an escape can write and no column holds. */
  private requireStorable(value: unknown, pointer: string, offset = 0): void {
    if (typeof value !== 'string' || (!value.includes('\0') && value.isWellFormed())) return
    const message = 'Must not contain NUL or text that is not valid Unicode.'
    this.faults.push({ path: pointer, ...this.placeAt(offset), message })
  }

  private mapOf(pairs: readonly { key: unknown; value: unknown }[], pointer: string, depth: number): unknown {
    const entries = new Map<string, unknown>()
    for (const { key, value } of pairs) {
      const name = isScalar(key) ? String(key.value) : ''
      const keyOffset = (isScalar(key) ? key.range?.[0] : undefined) ?? 0
      const child = pointer + pointerPart(name)
      const first = this.places.get(child)?.key
      if (entries.has(name)) {
        const line = first === undefined ? '' : ` The first is in line ${this.placeAt(first).line}.`
        this.faults.push({ path: child, ...this.placeAt(keyOffset), message: `"${name}" is written twice.${line}` })
        continue
      }
      this.requireStorable(name, child, keyOffset)
      this.places.set(child, { key: keyOffset })
      entries.set(name, this.valueOf(value, child, depth + 1))
    }
    // Not by assignment, which would take the key __proto__ for something else.
    return Object.fromEntries(entries)
  }
}
