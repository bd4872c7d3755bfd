// What happened, as a hash that is the same for the same history, and as lines for whoever wants to read it.

export interface Violation {
  /** Of the table in checker.ts. */
  invariant: string
  detail: string
  atMs: number
}

export class History {
  readonly lines: string[] = []
  violation: Violation | undefined
  #a = 0x811c9dc5
  #b = 0x9e3779b9
  readonly #isTraced: boolean
  readonly #now: () => number

  constructor(now: () => number, { isTraced = false } = {}) {
    this.#now = now
    this.#isTraced = isTraced
  }

  note(what: string, ...numbers: number[]): void {
    const now = this.#now()
    this.#mix(Math.round(now * 1_000))
    this.#mix(codeOf(what))
    for (const number of numbers) this.#mix(number)
    if (this.#isTraced) this.lines.push(`${now.toFixed(1).padStart(10)}  ${what} ${numbers.join(' ')}`)
  }

  /** Only the first counts: what follows a broken rule breaks others. */
  violate(invariant: string, detail: string): void {
    this.note(`VIOLATED ${invariant}: ${detail}`)
    this.violation ??= { invariant, detail, atMs: this.#now() }
  }

  get hash(): string {
    return [this.#a, this.#b].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
  }

  /** For readers only. */
  explain(line: () => string): void {
    if (this.#isTraced) this.lines.push(`              ${line()}`)
  }

  #mix(value: number): void {
    this.#a = Math.imul(this.#a ^ value, 0x01000193)
    this.#b = Math.imul((this.#b << 5) ^ (this.#b >>> 2) ^ value, 0x85ebca6b)
  }
}

const codes = new Map<string, number>()
const codesCountMax = 10_000

function codeOf(text: string): number {
  let code = codes.get(text)
  if (code !== undefined) return code
  code = 0x811c9dc5
  for (let at = 0; at < text.length; at++) code = Math.imul(code ^ text.charCodeAt(at), 0x01000193)
  if (codes.size < codesCountMax) codes.set(text, code)
  return code
}
