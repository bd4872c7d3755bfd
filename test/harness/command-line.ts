// How the project's own commands (npm run prove, bench, chaos, simulate) read what they are given. --help is answered
// wherever it stands, and what is not understood ends the command before it has begun anything: with 2, after a sentence
// and the usage.

import { parseArgs, type ParseArgsConfig } from 'node:util'

type Options = NonNullable<ParseArgsConfig['options']>
type Given<Known extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: Known; allowPositionals: true; strict: true }>
>

/** What options are given, each as it is described. */
export type ValuesOf<Known extends Options> = Given<Known>['values']

/** What somebody has asked for wrongly, in a sentence. */
export class UsageError extends Error {}

export interface ProjectCommand<Known extends Options> {
  usage: string
  options: Known
  /** How many names it takes beside its options. */
  namesMax: number
  /** Answers what the process ends with. A UsageError that it throws is answered with the usage. */
  run: (values: ValuesOf<Known>, names: string[]) => Promise<number>
}

export interface Output {
  log(text: string): void
  error(text: string): void
}

export async function runCommand<const Known extends Options>(
  words: readonly string[],
  { usage, options, namesMax, run }: ProjectCommand<Known>,
  output: Output = console,
): Promise<number> {
  if (words.some((word) => word === '--help' || word === '-h')) {
    output.log(usage)
    return 0
  }
  try {
    const { values, positionals } = read([...words], options)
    const extra = positionals[namesMax]
    if (extra !== undefined) throw new UsageError(`There is one name too many: "${extra}".`)
    return await run(values, positionals)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    output.error(`${error.message}\n\n${usage}`)
    return 2
  }
}

function read<Known extends Options>(args: string[], options: Known): Given<Known> {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true })
  } catch (error) {
    // Its message names the option; what follows in it is advice about --.
    const [sentence = ''] = (error instanceof Error ? error.message : String(error)).split('. ')
    throw new UsageError(sentence.endsWith('.') ? sentence : `${sentence}.`, { cause: error })
  }
}

export interface NumberRange {
  min?: number
  max?: number
  /** Parts of a whole are taken, too. */
  fractions?: boolean
}

/** The number that an option was given; undefined when it was not. */
export function readNumber(name: string, text: string, range?: NumberRange): number
export function readNumber(name: string, text: string | undefined, range?: NumberRange): number | undefined
export function readNumber(name: string, text: string | undefined, range: NumberRange = {}): number | undefined {
  if (text === undefined) return undefined
  const { min = 1, max = Number.MAX_SAFE_INTEGER, fractions = false } = range
  const pattern = fractions ? /^\d+(?:\.\d+)?$/ : /^\d+$/
  const value = Number(text)
  if (!pattern.test(text) || value < min || value > max) {
    const kind = fractions ? 'number' : 'whole number'
    const span = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
    throw new UsageError(`--${name} is "${text}"; it takes a ${kind} ${span}.`)
  }
  return value
}

/** The word that an option was given, when it is one of those that it takes. */
export function readChoice<const Word extends string>(name: string, text: string, choices: readonly Word[]): Word {
  const found = choices.find((choice) => choice === text)
  if (found === undefined) throw new UsageError(`--${name} is "${text}"; it is one of ${choices.join(', ')}.`)
  return found
}
