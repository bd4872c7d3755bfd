// millrace pipelines: list, show, validate, create.

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { FieldError } from '@millrace/contract'
import { listAll } from '../api.ts'
import { defineCommand, readCount, type CommandGroup, type Context } from '../command.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { printable } from '../text.ts'
import { listLimitOption, printList } from './list.ts'

const list = defineCommand({
  summary: 'pipelines at their newest version',
  options: listLimitOption,
  async run(_, options, context) {
    const limit = readCount('limit', options.limit, 10_000)
    const api = await context.api()
    return printList(context.console, listAll(api, 'listPipelines', {}, limit ?? 50), [
      { title: 'PIPELINE', value: (pipeline) => pipeline.name },
      { title: 'VERSION', value: (pipeline) => String(pipeline.version), align: 'right' },
      { title: 'ORIGIN', value: (pipeline) => (pipeline.built_in ? 'built in' : 'own') },
      { title: 'ACCEPTS', value: (pipeline) => pipeline.accept.join(' '), columnsMax: 50 },
      { title: 'DESCRIPTION', value: (pipeline) => pipeline.description ?? '' },
    ])
  },
})

const show = defineCommand({
  summary: 'the definition of a pipeline, ready to be copied',
  operands: 'NAME',
  operandsMin: 1,
  options: { version: { value: 'N', help: 'this version instead of the newest' } },
  async run([name = ''], options, { api, console }) {
    const version = readCount('version', options.version, 2 ** 31)
    const pipeline = await (await api()).call('getPipeline', { params: { name }, query: version ? { version } : {} })
    if (console.json) console.printJson(pipeline)
    // It was written by whoever may write pipelines: line ends are its own, everything else is made harmless.
    else for (const line of pipeline.source.trimEnd().split('\n')) console.print(printable(line))
    return exitCodes.done
  },
})

const validate = defineCommand({
  summary: 'check a definition without storing it',
  operands: 'FILE',
  operandsMin: 1,
  async run([file = ''], _, context) {
    const { console } = context
    const source = await readDefinition(file, context)
    const { valid, errors } = await (await context.api()).call('validatePipeline', { body: { source } })
    if (console.json) console.printJson({ valid, errors })
    else if (valid) console.print(`${file} is valid.`)
    else for (const error of errors) console.print(errorLine(file, error))
    return valid ? exitCodes.done : exitCodes.failed
  },
})

const create = defineCommand({
  summary: 'store a definition, as a new pipeline or the next version of one',
  operands: 'FILE',
  operandsMin: 1,
  async run([file = ''], _, context) {
    const { console } = context
    const source = await readDefinition(file, context)
    const pipeline = await (await context.api()).call('createPipeline', { body: { source } })
    if (console.json) console.printJson(pipeline)
    else console.print(`${printable(pipeline.name)} v${pipeline.version}`)
    return exitCodes.done
  },
})

const definitionCharactersMax = 200_000

async function readDefinition(file: string, { cwd }: Context): Promise<string> {
  const source = await readFile(path.resolve(cwd, file), 'utf8').catch(() => {
    throw usageFailure(`${file} cannot be read.`, 'Name a file with a definition in YAML or JSON.')
  })
  if (source.length === 0 || source.length > definitionCharactersMax)
    throw usageFailure(`${file} has ${source.length} characters.`, `A definition has 1 to ${definitionCharactersMax}.`)
  return source
}

/** As compilers write it, so that editors find the place. */
function errorLine(file: string, { path: at, line, column, message }: FieldError): string {
  const place = line === undefined ? file : `${file}:${line}:${column ?? 1}`
  return `${printable(place)}: ${printable(message)}${at === '' ? '' : ` (${printable(at)})`}`
}

export const pipelinesCommand: CommandGroup = {
  summary: 'list, show, validate and create pipelines',
  subcommands: { list, show, validate, create },
}
