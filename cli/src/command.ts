// What a command is: its words, its options, and what it does with them. The help is told from the same rows.

import { parseArgs } from 'node:util'
import type { Api } from './api.ts'
import { usageFailure, type ExitCode } from './failure.ts'
import type { Console } from './console.ts'
import type { Patience } from './retry.ts'

export interface Option {
  /** Name of the value in the help; without it the option is a switch. */
  readonly value?: string
  readonly help: string
}

export type OptionRows = Record<string, Option>
export type OptionValues<Rows extends OptionRows> = {
  [Name in keyof Rows]?: Rows[Name] extends { value: string } ? string : boolean
}

/** What a command works with; everything that touches the world stands here. */
export interface Context extends Patience {
  console: Console
  /** The server, found from flags, environment or the local start; throws Failure when there is none. */
  api: () => Promise<Api>
  cwd: string
  environment: Record<string, string | undefined>
  /** Asks the person at the terminal; undefined where there is none. */
  ask: ((question: string) => Promise<string>) | undefined
  /** Where this command keeps what it can do without; it may not be there yet. */
  stateFolder: string
  /** Aborted by the first Ctrl-C. */
  signal: AbortSignal
  now: () => number
  /** A new random key for Idempotency-Key. */
  randomId: () => string
}

export interface Command {
  readonly summary: string
  /** The words that follow the command's name, e.g. FILES… */
  readonly operands: string
  readonly operandsMin: number
  readonly operandsMax: number
  readonly options: OptionRows
  /** Further paragraphs of the help. */
  readonly details?: string
  run(operands: string[], options: Record<string, string | boolean | undefined>, context: Context): Promise<ExitCode>
}

/** A command with subcommands; the first one is meant when none is named. */
export interface CommandGroup {
  readonly summary: string
  readonly subcommands: Readonly<Record<string, Command>>
}

export const isGroup = (command: Command | CommandGroup): command is CommandGroup => 'subcommands' in command

interface Definition<Rows extends OptionRows> {
  summary: string
  operands?: string
  operandsMin?: number
  operandsMax?: number
  options?: Rows
  details?: string
  run(operands: string[], options: OptionValues<Rows>, context: Context): Promise<ExitCode>
}

export function defineCommand<const Rows extends OptionRows>(definition: Definition<Rows>): Command {
  return {
    operands: '',
    operandsMin: 0,
    operandsMax: definition.operandsMin ?? 0,
    ...definition,
    options: definition.options ?? {},
    // The parser gives exactly the values that the rows describe.
    run: (operands, options, context) => definition.run(operands, options as OptionValues<Rows>, context),
  }
}

/** Options that every command takes. */
export const commonOptions = {
  url: { value: 'URL', help: 'server to talk to, else MILLRACE_URL, else the one started on this machine' },
  key: { value: 'KEY', help: 'API key, else MILLRACE_API_KEY, else the one of the local start' },
  data: { value: 'DIR', help: 'data folder of the local start, else MILLRACE_DATA, else ./data' },
  json: { help: 'JSON for programs instead of text for people' },
  help: { help: 'this text' },
} as const satisfies OptionRows

export interface ParsedWords {
  operands: string[]
  options: Record<string, string | boolean | undefined>
}

/** Throws Failure (usage) that names the word it does not understand. */
export function parseWords(name: string, command: Command, words: string[]): ParsedWords {
  const rows: OptionRows = { ...commonOptions, ...command.options }
  const options = Object.fromEntries(
    Object.entries(rows).map(([option, { value }]) => [option, { type: value ? 'string' : 'boolean' } as const]),
  )
  const help = `See millrace ${name} --help.`
  let parsed
  try {
    parsed = parseArgs({
      args: words,
      options: { ...options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    })
  } catch (error) {
    // Its message names the option; what follows in it is advice about --.
    const [sentence] = (error instanceof Error ? error.message : String(error)).split('. ')
    throw usageFailure(`${sentence}.`.replace(/\.\.$/, '.'), help)
  }
  const operands = parsed.positionals
  if (parsed.values['help'] !== true) {
    if (operands.length < command.operandsMin) throw usageFailure(`millrace ${name} needs ${command.operands}.`, help)
    if (operands.length > command.operandsMax)
      throw usageFailure(`millrace ${name} does not take "${operands[command.operandsMax]}".`, help)
  }
  return { operands, options: parsed.values }
}

/** A whole number within bounds, or undefined where the option was not given. */
export function readCount(name: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined
  const count = Number(text)
  if (!/^\d+$/.test(text) || count < 1 || count > max)
    throw usageFailure(`--${name} is "${text}".`, `Give a whole number from 1 to ${max}.`)
  return count
}

/** Seconds, from a number and its unit, or undefined where the option was not given. */
export function readDuration(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, count, unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(text) ?? []
  if (count === undefined || Number(count) === 0)
    throw usageFailure(`--${name} is "${text}".`, 'Give a number and its unit: 90s, 15m, 2h or 7d.')
  // The pattern lets nothing else through.
  return Number(count) * unitSeconds[unit as keyof typeof unitSeconds]
}
const unitSeconds = { s: 1, m: 60, h: 3_600, d: 86_400 } as const

/** An object in JSON, or undefined where the option was not given. */
export function readJsonObject(name: string, text: string | undefined): Record<string, unknown> | undefined {
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Told below.
  }
  throw usageFailure(`--${name} is not a JSON object.`, `Give one such as '{"project":"x"}', in quotes of the shell.`)
}

export const yesOption = { yes: { help: 'do not ask first' } } as const

/** For what cannot be undone: goes on only after --yes, or when the word was typed. Throws Failure (usage). */
export async function confirm(
  { ask }: Context,
  options: { yes?: boolean },
  { question, word }: { question: string; word: string },
): Promise<void> {
  if (options.yes === true) return
  if (ask === undefined) throw usageFailure('There is nobody to ask.', 'Give --yes when you mean it.')
  if ((await ask(`${question} Type ${word} to go on: `)).trim() !== word)
    throw usageFailure('Nothing was done.', `Type ${word}, or give --yes, when you mean it.`)
}

/** One of the words, or undefined where the option was not given. */
export function readWord<const Words extends readonly string[]>(
  name: string,
  text: string | undefined,
  words: Words,
): Words[number] | undefined {
  if (text === undefined) return undefined
  const word = words.find((word) => word === text)
  if (word === undefined) throw usageFailure(`--${name} is "${text}".`, `Give one of ${words.join(', ')}.`)
  return word
}
