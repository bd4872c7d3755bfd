// Where a command writes. Results go to the standard output; progress and failures to the standard error, so that a
// pipe receives results only. On a terminal a few lines at the bottom are drawn anew as things change; without one
// every line stands on its own: no cursor is moved and nothing is coloured.

import { styleText } from 'node:util'
import type { ToldProblem } from './failure.ts'
import { printable, shorten } from './text.ts'

/** A stream of the process, as far as it is used here. */
export interface Sink {
  write(text: string): unknown
  isTTY?: boolean | undefined
  columns?: number | undefined
  rows?: number | undefined
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow'

export interface Console {
  /** Whether results are for programs. */
  readonly json: boolean
  /** Whether status lines are drawn. */
  readonly isLive: boolean
  /** Lines of the terminal that a status may take. */
  readonly statusLinesMax: number
  /** A line of the result. */
  print(line: string): void
  /** A result as JSON: one document, or one line each. */
  printJson(value: unknown, form?: 'document' | 'line'): void
  /** A line about what is going on; silent for programs. */
  note(line: string): void
  /** Replaces the status lines, which are unstyled and cut to the width; does nothing without a terminal. */
  setStatus(lines: readonly string[]): void
  style: (style: Style, text: string) => string
  /** A failure in full. */
  fail(problem: ToldProblem): void
}

export interface ConsoleOptions {
  out: Sink
  err: Sink
  json: boolean
  environment: Record<string, string | undefined>
}

/** A terminal that nobody sized says 0. */
const sizeOr = (size: number | undefined, otherwise: number): number =>
  size === undefined || size === 0 ? otherwise : size
const columnsDefault = 80
const rowsDefault = 24

export function createConsole({ out, err, json, environment }: ConsoleOptions): Console {
  const isDumb = environment['TERM'] === 'dumb'
  const isLive = err.isTTY === true && !json && !isDumb
  const isColoured = out.isTTY === true && err.isTTY === true && !isDumb && !json && !environment['NO_COLOR']
  let drawn: readonly string[] = []

  function erase(): string {
    const lines = drawn.length
    drawn = []
    return lines > 0 ? `\u001b[${lines}A\u001b[0J` : ''
  }

  function draw(lines: readonly string[]): string {
    const columnsMax = sizeOr(err.columns, columnsDefault) - 1
    drawn = lines.map((line) => shorten(line, columnsMax))
    return drawn.map((line) => `${line}\n`).join('')
  }

  /** Text above the status lines. */
  function writeAbove(sink: Sink, text: string): void {
    if (drawn.length === 0) {
      sink.write(text)
      return
    }
    const lines = drawn
    err.write(erase())
    sink.write(text)
    err.write(draw(lines))
  }

  const style = (name: Style, text: string): string =>
    isColoured ? styleText(name, text, { validateStream: false }) : text

  return {
    json,
    isLive,
    get statusLinesMax() {
      return Math.max(sizeOr(err.rows, rowsDefault) - 4, 3)
    },
    style,
    print: (line) => writeAbove(out, `${line}\n`),
    printJson: (value, form = 'document') =>
      writeAbove(out, `${JSON.stringify(value, null, form === 'document' ? 2 : undefined)}\n`),
    note(line) {
      if (!json) writeAbove(err, `${line}\n`)
    },
    setStatus(lines) {
      if (!isLive || (lines.length === drawn.length && lines.every((line, index) => line === drawn[index]))) return
      err.write(erase() + draw(lines))
    },
    fail(problem) {
      writeAbove(err, json ? `${JSON.stringify({ problem })}\n` : `${problemLines(problem, style).join('\n')}\n`)
    },
  }
}

/** What went wrong, where, what to do, and what to name when asking somebody. */
export function problemLines(problem: ToldProblem, style: Console['style']): string[] {
  const lines = [style('red', printable(problem.title))]
  if (problem.detail && problem.detail !== problem.title) lines.push(`  ${printable(problem.detail)}`)
  for (const { path, line, column, message } of problem.errors ?? []) {
    const place = line === undefined ? path : `line ${line}${column === undefined ? '' : `:${column}`}, ${path}`
    lines.push(`  ${printable(place)}: ${printable(message)}`)
  }
  lines.push(`  ${printable(problem.remedy)}`)
  if (problem.request_id) lines.push(style('dim', `  request ${printable(problem.request_id)}`))
  return lines
}
