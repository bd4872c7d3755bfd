// millrace dead-letters: list, show, replay.

import type { DeadLetterFilter } from '@millrace/contract'
import { listAll } from '../api.ts'
import { defineCommand, readCount, type CommandGroup } from '../command.ts'
import { problemLines } from '../console.ts'
import { exitCodes, type ToldProblem } from '../failure.ts'
import { formatTime, printable } from '../text.ts'
import { tellControlTask } from './control-tasks.ts'
import { listLimitOption, printList } from './list.ts'

const filterOptions = {
  pipeline: { value: 'NAME', help: 'only of this pipeline' },
  processor: { value: 'NAME', help: 'only of this processor' },
  code: { value: 'CODE', help: 'only with this problem' },
  file: { value: 'TEXT', help: 'only of files with this in their name' },
} as const

function toFilter(options: { pipeline?: string; processor?: string; code?: string; file?: string }): DeadLetterFilter {
  const { file, pipeline, processor, code } = options
  return {
    ...(pipeline !== undefined && { pipeline }),
    ...(processor !== undefined && { processor }),
    ...(code !== undefined && { code }),
    ...(file !== undefined && { file_name: file }),
  }
}

const list = defineCommand({
  summary: 'tasks that no further attempt will help, newest first',
  options: { ...filterOptions, ...listLimitOption },
  async run(_, options, context) {
    const limit = readCount('limit', options.limit, 100_000)
    const api = await context.api()
    return printList(context.console, listAll(api, 'listDeadLetters', toFilter(options), limit ?? 50), [
      { title: 'TASK', value: (letter) => letter.task_id },
      { title: 'JOB', value: (letter) => letter.job_id },
      { title: 'FILE', value: (letter) => letter.file_name, columnsMax: 30 },
      { title: 'STEP', value: (letter) => letter.step },
      { title: 'PROBLEM', value: (letter) => letter.problem?.code ?? '' },
      { title: 'DIED', value: (letter) => (letter.died_at === null ? '' : formatTime(letter.died_at)) },
    ])
  },
})

const show = defineCommand({
  summary: 'why a task is a dead letter, and what was tried',
  operands: 'TASK',
  operandsMin: 1,
  async run([id = ''], _, { api, console }) {
    const letter = await (await api()).call('getDeadLetter', { params: { task_id: id } })
    if (console.json) console.printJson(letter)
    else {
      console.print(`${console.style('bold', letter.task_id)}  ${printable(letter.file_name)}  ${letter.step}`)
      // The server's codes are those of the contract.
      if (letter.problem)
        for (const line of problemLines(letter.problem as ToldProblem, console.style)) console.print(line)
      for (const { attempt, outcome, problem, ended_at: at } of letter.tried)
        console.print(`attempt ${attempt}, ${formatTime(at)}: ${outcome} ${printable(problem?.detail ?? '')}`)
    }
    return exitCodes.done
  },
})

const replay = defineCommand({
  summary: 'run the jobs of all dead letters that match again, in the background',
  options: filterOptions,
  run: async (_, options, context) =>
    tellControlTask(context, await (await context.api()).call('replayDeadLetters', { body: toFilter(options) })),
})

export const deadLettersCommand: CommandGroup = {
  summary: 'list, explain and replay dead letters',
  subcommands: { list, show, replay },
}
