// millrace control-tasks: what was asked of many at once, by dead-letters replay and jobs cancel-all.

import type { ControlTaskResource } from '@millrace/contract'
import { listAll } from '../api.ts'
import { defineCommand, readCount, type CommandGroup, type Context } from '../command.ts'
import { exitCodes, type ExitCode } from '../failure.ts'
import { formatTime } from '../text.ts'
import { listLimitOption, printList } from './list.ts'

const list = defineCommand({
  summary: 'what was asked of many at once, newest first',
  options: listLimitOption,
  async run(_, options, context) {
    const limit = readCount('limit', options.limit, 10_000)
    const api = await context.api()
    return printList(context.console, listAll(api, 'listControlTasks', {}, limit ?? 50), [
      { title: 'CONTROL TASK', value: (task) => task.control_task_id },
      { title: 'KIND', value: (task) => task.kind.replaceAll('_', ' ') },
      { title: 'STATUS', value: (task) => task.status },
      { title: '%', value: (task) => String(Math.floor(task.progress)), align: 'right' },
      { title: 'DONE', value: (task) => String(task.done), align: 'right' },
      { title: 'SKIPPED', value: (task) => String(task.skipped), align: 'right' },
      { title: 'CREATED', value: (task) => formatTime(task.created_at) },
    ])
  },
})

const show = defineCommand({
  summary: 'how far it has come',
  operands: 'TASK',
  operandsMin: 1,
  run: async ([id = ''], _, context) =>
    tellControlTask(context, await (await context.api()).call('getControlTask', { params: { control_task_id: id } })),
})

const cancel = defineCommand({
  summary: 'go no further; what is done stays done',
  operands: 'TASK',
  operandsMin: 1,
  run: async ([id = ''], _, context) =>
    tellControlTask(
      context,
      await (await context.api()).call('cancelControlTask', { params: { control_task_id: id } }),
    ),
})

export function tellControlTask({ console }: Context, task: ControlTaskResource): ExitCode {
  const { control_task_id: id, kind, status, matched, done, skipped } = task
  if (console.json) console.printJson(task)
  else {
    console.print(
      `${console.style('bold', id)}  ${kind.replaceAll('_', ' ')}  ${status}  ${Math.floor(task.progress)} %`,
    )
    console.print(`${matched} matched, ${done} done, ${skipped} skipped`)
  }
  return exitCodes.done
}

export const controlTasksCommand: CommandGroup = {
  summary: 'look after what was asked of many at once',
  subcommands: { list, show, cancel },
}
