// millrace admin: the installation, for its operator.

import { tenantLimitSummaries, type PoolShareChange, type QueueResource } from '@millrace/contract'
import { confirm, defineCommand, readCount, yesOption, type CommandGroup, type OptionRows } from '../command.ts'
import type { Console } from '../console.ts'
import { exitCodes, usageFailure, type ExitCode } from '../failure.ts'
import { formatBytes, formatSeconds, formatTime } from '../text.ts'
import { printList } from './list.ts'

const metrics = defineCommand({
  summary: 'figures of the installation',
  async run(_, __, { api, console }) {
    const figures = await (await api()).call('getAdminMetrics', {})
    if (console.json) console.printJson(figures)
    else
      for (const [part, values] of Object.entries(figures))
        for (const [name, value] of Object.entries(values))
          console.print(`${part}  ${name.replaceAll('_', ' ')}  ${value}`)
    return exitCodes.done
  },
})

const workers = defineCommand({
  summary: 'workers seen in the last minute',
  async run(_, __, { api, console }) {
    const { items } = await (await api()).call('listWorkers', {})
    return printList(console, items.values(), [
      { title: 'WORKER', value: (worker) => worker.worker_id },
      { title: 'HOST', value: (worker) => worker.host },
      { title: 'SANDBOX', value: (worker) => worker.sandbox, columnsMax: 30 },
      { title: 'BUSY', value: (worker) => `${worker.busy} of ${worker.slots}` },
      { title: 'CPU', value: (worker) => `${Math.round(worker.cpu_share * 100)} %`, align: 'right' },
      { title: 'MEMORY', value: (worker) => formatBytes(worker.memory_bytes), align: 'right' },
      { title: 'STARTED', value: (worker) => formatTime(worker.started_at) },
    ])
  },
})

const queues = defineCommand({
  summary: 'what waits in each pool, and how long it will take',
  async run(_, __, { api, console }) {
    const { items } = await (await api()).call('listQueues', {})
    return printList(console, items.values(), [
      { title: 'POOL', value: (queue) => String(queue.pool), align: 'right' },
      { title: 'BACKLOG', value: (queue) => String(queue.backlog_tasks), align: 'right' },
      { title: 'SLOTS', value: (queue) => String(queue.slots), align: 'right' },
      { title: 'WANTED', value: (queue) => String(queue.slots_wanted), align: 'right' },
      { title: 'OLDEST', value: (queue) => secondsText(queue.oldest_wait_seconds), align: 'right' },
      { title: 'DRAINED IN', value: (queue) => secondsText(queue.drain_seconds), align: 'right' },
      { title: 'LONGEST BACKLOGS', value: longestBacklogs },
    ])
  },
})

const secondsText = (seconds: number): string => `${formatSeconds(seconds * 1_000)} s`

const longestBacklogs = ({ tenants }: QueueResource): string =>
  tenants
    .slice(0, 3)
    .map(({ tenant_id: tenantId, backlog_tasks: tasks }) => `${tenantId} ${tasks}`)
    .join(', ')

const shred = defineCommand({
  summary: "destroy a tenant's keys: all its bytes, in every copy, are unreadable from then on",
  operands: 'TENANT',
  operandsMin: 1,
  options: yesOption,
  details: 'There is no way back. Asks first; where there is no terminal it wants --yes.',
  async run([tenantId = ''], options, context) {
    const { console } = context
    const api = await context.api()
    await confirm(context, options, { question: `All bytes of ${tenantId} will be unreadable.`, word: tenantId })
    await api.call('shredTenantKeys', { params: { tenant_id: tenantId }, body: { confirm: tenantId } })
    if (console.json) console.printJson({ tenant_id: tenantId, shredded: true })
    else console.print(`The keys of ${tenantId} are destroyed.`)
    return exitCodes.done
  },
})

const shareOptions = {
  'starts-per-second': { value: 'N', help: 'tasks that may start each second; none: no limit' },
  pause: { help: 'what runs ends, nothing else starts' },
  resume: { help: 'let it go on' },
} as const

const tenant = defineCommand({
  summary: 'what a tenant gets of the workers; with options, change it at once',
  operands: 'TENANT',
  operandsMin: 1,
  options: {
    weight: { value: 'N', help: 'its share beside the others, 1 to 1000' },
    'running-max': { value: 'N', help: 'tasks of it that may run at once' },
    ...shareOptions,
  },
  async run([tenantId = ''], options, { api, console }) {
    const weight = readCount('weight', options.weight, 1_000)
    const runningMax = readCount('running-max', options['running-max'], 1_000_000)
    const body = {
      ...(weight !== undefined && { weight }),
      ...(runningMax !== undefined && { running_max: runningMax }),
      ...readShare(options),
    }
    const params = { tenant_id: tenantId }
    const client = await api()
    const isAsked = Object.keys(body).length === 0
    const share = await (isAsked
      ? client.call('getTenantShare', { params })
      : client.call('updateTenantShare', { params, body }))
    return tellShare(console, share)
  },
})

const optionOf = (limit: string): string => limit.replaceAll('_', '-')
const limitOptions: OptionRows = Object.fromEntries(
  Object.entries(tenantLimitSummaries).map(([name, summary]) => [
    optionOf(name),
    { value: 'N', help: `${summary.charAt(0).toLowerCase()}${summary.slice(1, -1)}` },
  ]),
)

const limits = defineCommand({
  summary: 'what a tenant may store, and for how long things of it are kept; with options, change it at once',
  operands: 'TENANT',
  operandsMin: 1,
  options: limitOptions,
  details: 'N may be "default". What is there already stays, even when it is more than is allowed from now on.',
  async run([tenantId = ''], options, { api, console }) {
    const body = Object.fromEntries(
      Object.keys(tenantLimitSummaries).flatMap((name) => {
        const text = options[optionOf(name)]
        return typeof text === 'string' ? [[name, readLimit(optionOf(name), text)]] : []
      }),
    )
    const params = { tenant_id: tenantId }
    const client = await api()
    const isAsked = Object.keys(body).length === 0
    const { set, ...found } = await (isAsked
      ? client.call('getTenantLimits', { params })
      : client.call('updateTenantLimits', { params, body }))
    if (console.json) console.printJson({ ...found, set })
    else
      for (const [name, value] of Object.entries(found))
        console.print(`${name.replaceAll('_', ' ')}  ${value ?? 'for ever'}${set.includes(name) ? '  (set)' : ''}`)
    return exitCodes.done
  },
})

function readLimit(option: string, text: string): number | null {
  if (text === 'default') return null
  if (!/^\d{1,16}$/.test(text)) throw usageFailure(`--${option} is "${text}".`, 'Give a whole number, or default.')
  return Number(text)
}

const pool = defineCommand({
  summary: 'what all tenants of a pool get together; with options, change it at once',
  operands: 'POOL',
  operandsMin: 1,
  options: shareOptions,
  async run([number = ''], options, { api, console }) {
    const body = readShare(options)
    const params = { pool: number }
    const client = await api()
    const isAsked = Object.keys(body).length === 0
    const share = await (isAsked
      ? client.call('getPoolShare', { params })
      : client.call('updatePoolShare', { params, body }))
    return tellShare(console, share)
  },
})

function readShare(options: { 'starts-per-second'?: string; pause?: boolean; resume?: boolean }): PoolShareChange {
  const { 'starts-per-second': rate, pause = false, resume = false } = options
  if (pause && resume) throw usageFailure('--pause and --resume are both given.', 'Give one of them.')
  const perSecond = Number(rate)
  if (rate !== undefined && rate !== 'none' && !(perSecond > 0))
    throw usageFailure(`--starts-per-second is "${rate}".`, 'Give a number above 0, or none.')
  return {
    ...(rate !== undefined && { starts_per_second: rate === 'none' ? null : perSecond }),
    ...((pause || resume) && { paused: pause }),
  }
}

function tellShare(console: Console, share: object): ExitCode {
  if (console.json) console.printJson(share)
  else
    for (const [name, value] of Object.entries(share))
      console.print(`${name.replaceAll('_', ' ')}  ${value ?? 'no limit'}`)
  return exitCodes.done
}

export const adminCommand: CommandGroup = {
  summary: 'workers, queues, shares and figures of the installation',
  subcommands: { metrics, workers, queues, tenant, limits, pool, shred },
}
