// millrace schedules: list, create, show, change, pause, resume, delete.

import { missedTickPolicies, type ScheduleResource } from '@millrace/contract'
import { listAll } from '../api.ts'
import { defineCommand, readCount, readWord, type CommandGroup, type Context } from '../command.ts'
import { exitCodes, usageFailure, type ExitCode } from '../failure.ts'
import { formatTime, printable } from '../text.ts'
import { listLimitOption, printList } from './list.ts'

const list = defineCommand({
  summary: 'schedules, newest first',
  options: listLimitOption,
  async run(_, options, context) {
    const limit = readCount('limit', options.limit, 10_000)
    const api = await context.api()
    return printList(context.console, listAll(api, 'listSchedules', {}, limit ?? 50), [
      { title: 'SCHEDULE', value: (schedule) => schedule.schedule_id },
      { title: 'NAME', value: (schedule) => schedule.name, columnsMax: 40 },
      { title: 'CRON', value: (schedule) => `${schedule.cron} ${schedule.time_zone}`, columnsMax: 50 },
      { title: 'STATE', value: (schedule) => schedule.state },
      { title: 'NEXT', value: (schedule) => nextOf(schedule) },
      { title: 'LAST', value: (schedule) => schedule.last_tick?.outcome.replaceAll('_', ' ') ?? '' },
    ])
  },
})

const nextOf = ({ next_run_at: next }: ScheduleResource): string => (next === null ? 'never' : formatTime(next))

const clockOptions = {
  zone: { value: 'ZONE', help: 'time zone, e.g. Europe/Berlin (UTC)' },
  missed: { value: 'POLICY', help: `what of ticks while nothing ran: ${missedTickPolicies.join(', ')} (skip)` },
} as const

const create = defineCommand({
  summary: 'run a batch or an import again and again',
  operands: 'NAME CRON',
  operandsMin: 2,
  options: {
    ...clockOptions,
    overlap: { help: 'start although the batch before it still runs' },
    pipeline: { value: 'NAME', help: 'pipeline to run, else the default for the type of each file' },
    prefix: { value: 'TEXT', help: 'only files whose name begins so' },
    type: { value: 'TYPE', help: 'only files of this content type' },
    import: { value: 'SOURCE', help: 'look through this import source instead of running a batch' },
  },
  async run([name = '', cron = ''], options, context) {
    const missed = readWord('missed', options.missed, missedTickPolicies)
    const { zone, pipeline, prefix, type, import: source } = options
    if (source !== undefined && (pipeline ?? prefix ?? type) !== undefined)
      throw usageFailure('An import takes whatever its source has.', 'Leave --pipeline, --prefix and --type out.')
    const query = {
      ...(prefix !== undefined && { name_prefix: prefix }),
      ...(type !== undefined && { content_type: type }),
    }
    const body = {
      name,
      cron,
      ...(source === undefined
        ? { batch: { name, query, ...(pipeline !== undefined && { pipeline }) } }
        : { import_source_id: source }),
      overlap: options.overlap === true,
      ...(zone !== undefined && { time_zone: zone }),
      ...(missed !== undefined && { missed_ticks: missed }),
    }
    return tell(context, await (await context.api()).call('createSchedule', { body }))
  },
})

const show = defineCommand({
  summary: 'a schedule with its last and next run',
  operands: 'SCHEDULE',
  operandsMin: 1,
  run: async ([id = ''], _, context) =>
    tell(context, await (await context.api()).call('getSchedule', { params: { schedule_id: id } })),
})

const change = defineCommand({
  summary: 'change when a schedule fires',
  operands: 'SCHEDULE',
  operandsMin: 1,
  options: { name: { value: 'NAME', help: 'its new name' }, cron: { value: 'CRON', help: 'when' }, ...clockOptions },
  async run([id = ''], options, context) {
    const missed = readWord('missed', options.missed, missedTickPolicies)
    const { name, cron, zone } = options
    const body = {
      ...(name !== undefined && { name }),
      ...(cron !== undefined && { cron }),
      ...(zone !== undefined && { time_zone: zone }),
      ...(missed !== undefined && { missed_ticks: missed }),
    }
    if (Object.keys(body).length === 0)
      throw usageFailure('There is nothing to change.', 'Give --name, --cron, --zone or --missed.')
    return tell(context, await (await context.api()).call('updateSchedule', { params: { schedule_id: id }, body }))
  },
})

const pausing = (paused: boolean, summary: string) =>
  defineCommand({
    summary,
    operands: 'SCHEDULE',
    operandsMin: 1,
    run: async ([id = ''], _, context) =>
      tell(
        context,
        await (await context.api()).call('updateSchedule', { params: { schedule_id: id }, body: { paused } }),
      ),
  })

const remove = defineCommand({
  summary: 'delete a schedule; batches that it started go on',
  operands: 'SCHEDULE',
  operandsMin: 1,
  async run([id = ''], _, { api, console }) {
    await (await api()).call('deleteSchedule', { params: { schedule_id: id } })
    if (console.json) console.printJson({ schedule_id: id, deleted: true })
    else console.print(`${id} is deleted.`)
    return exitCodes.done
  },
})

function tell({ console }: Context, schedule: ScheduleResource): ExitCode {
  if (console.json) console.printJson(schedule)
  else
    console.print(`${schedule.schedule_id}  ${printable(schedule.name)}  ${schedule.state}, next: ${nextOf(schedule)}`)
  return exitCodes.done
}

export const schedulesCommand: CommandGroup = {
  summary: 'run batches and imports by the clock',
  subcommands: {
    list,
    create,
    show,
    change,
    pause: pausing(true, 'fire nothing for now'),
    resume: pausing(false, 'fire again'),
    delete: remove,
  },
}
