// From the words of a command line to the command that they mean, or to the help about it.

import { commands, type CommandName } from './commands.ts'
import { commonOptions, isGroup, parseWords, type Command, type CommandGroup, type ParsedWords } from './command.ts'
import { usageFailure } from './failure.ts'
import { padEnd } from './text.ts'

export type Understood =
  | { kind: 'version' }
  | { kind: 'help'; text: string }
  | { kind: 'command'; command: Command; words: ParsedWords }

/** The help of every command, in their order, by the words that call it. */
export function allHelp(): { name: string; text: string }[] {
  return Object.entries<Command | CommandGroup>(commands).flatMap(([name, command]) =>
    isGroup(command)
      ? Object.entries(command.subcommands).map(([word, sub]) => ({
          name: `${name} ${word}`,
          text: commandHelp(`${name} ${word}`, sub, []),
        }))
      : [{ name, text: commandHelp(name, command, []) }],
  )
}

/** Throws Failure (usage) for what it does not understand. */
export function understand(words: readonly string[]): Understood {
  const [first, ...rest] = words
  if (first === undefined || first === '--help' || first === '-h') return { kind: 'help', text: overview() }
  if (first === 'help') return rest.length === 0 ? { kind: 'help', text: overview() } : understand([...rest, '--help'])
  if (first === '--version' || first === '-v') return { kind: 'version' }
  if (first.startsWith('-')) throw usageFailure(`${first} comes before the command.`, 'Write millrace COMMAND OPTIONS.')
  if (!isCommandName(first)) throw usageFailure(`There is no command "${first}".`, 'See millrace --help.')
  const command: Command | CommandGroup = commands[first]
  return isGroup(command) ? understandGroup(first, command, rest) : understandCommand(first, command, rest)
}

function understandGroup(name: string, group: CommandGroup, words: string[]): Understood {
  const [second, ...rest] = words
  const named = second === undefined ? undefined : findOwn(group.subcommands, second)
  if (second !== undefined && named) return understandCommand(`${name} ${second}`, named, rest)
  if (second === undefined || second.startsWith('-')) {
    if (words.some((word) => word === '--help' || word === '-h')) return { kind: 'help', text: groupHelp(name, group) }
    const [first] = Object.entries(group.subcommands)
    if (first) return understandCommand(`${name} ${first[0]}`, first[1], words)
  }
  const known = Object.keys(group.subcommands).join(', ')
  throw usageFailure(`There is no command "${name} ${second}".`, `It takes ${known}.`)
}

function understandCommand(name: string, command: Command, words: string[]): Understood {
  const parsed = parseWords(name, command, words)
  if (parsed.options['help'] === true) return { kind: 'help', text: commandHelp(name, command) }
  return { kind: 'command', command, words: parsed }
}

const isCommandName = (word: string): word is CommandName => Object.hasOwn(commands, word)
const findOwn = <Value>(record: Readonly<Record<string, Value>>, key: string): Value | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined

export function overview(): string {
  const rows = Object.entries<Command | CommandGroup>(commands).map(([name, { summary }]) => [name, summary] as const)
  return [
    'Usage: millrace COMMAND …',
    '',
    ...columns(rows),
    '',
    'Every command:',
    ...optionLines(commonOptions),
    '',
    'millrace COMMAND --help tells more. Exit codes: 0 done, 1 something failed, 2 a wrong word on the command line,',
    '3 the server cannot be reached, 130 ended by Ctrl-C.',
  ].join('\n')
}

function groupHelp(name: string, { summary, subcommands }: CommandGroup): string {
  const rows = Object.entries(subcommands).map(
    ([word, command]) => [`${name} ${word} ${command.operands}`.trim(), command.summary] as const,
  )
  return [summary, '', ...columns(rows), '', `millrace ${name} alone means its first line.`].join('\n')
}

const everyCommand = ['', 'Every command:', ...optionLines(commonOptions)]

function commandHelp(name: string, { summary, operands, options, details }: Command, after = everyCommand): string {
  const own = Object.keys(options).length === 0 ? [] : ['', ...optionLines(options)]
  const usage = `Usage: millrace ${name} ${operands}`.trimEnd()
  return [usage, '', summary, ...(details ? ['', details] : []), ...own, ...after].join('\n')
}

function optionLines(options: Command['options']): string[] {
  return columns(
    Object.entries(options).map(([name, { value, help }]) => [`--${name}${value ? ` ${value}` : ''}`, help] as const),
  )
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${padEnd(left, width)}  ${right}`)
}
