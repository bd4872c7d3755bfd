import type { QueueResource } from '@millrace/contract'
import type { Metrics } from '../platform/metrics.ts'
import type { JobsRow } from './doctor.sql.ts'
import type { Figures } from './figures.ts'

/**
 * Demand and the accounting identity for /metrics. Every process that has these tells of the whole installation: take the
 * max over processes, not the sum.
 */
export function reportFigures({ metrics, figures }: { metrics: Metrics; figures: Figures }): void {
  const ofQueues = (read: (queue: QueueResource) => number) => async (): Promise<number> =>
    (await figures.readQueues()).reduce((sum, queue) => sum + read(queue), 0)
  const ofAccounts = (read: (jobs: JobsRow) => number) => async (): Promise<number> =>
    read(await figures.readAccounts())

  metrics.gauge({
    name: 'millrace_pool_demand_slots',
    help: 'Slots there is work for: waiting and running tasks, of each tenant at most its cap.',
    read: ofQueues((queue) => queue.slots_wanted),
  })
  metrics.gauge({
    name: 'millrace_pool_slots',
    help: 'Slots of the workers seen in the last minute.',
    read: ofQueues((queue) => queue.slots),
  })
  metrics.gauge({
    name: 'millrace_pool_backlog_tasks',
    help: 'Tasks that wait for admission, counted up to 10,000 of each tenant and lane.',
    read: ofQueues((queue) => queue.backlog_tasks),
  })
  metrics.gauge({
    name: 'millrace_pool_drain_seconds',
    help: 'Expected time until the backlog is done with the present slots.',
    read: ofQueues((queue) => queue.drain_seconds),
  })
  metrics.gauge({
    name: 'millrace_pool_oldest_wait_seconds',
    help: 'For how long the oldest task has waited.',
    read: ofQueues((queue) => queue.oldest_wait_seconds),
  })
  metrics.gauge({
    name: 'millrace_accounting_inputs_jobs',
    help: 'Jobs that ever came in and are still on record.',
    read: ofAccounts((jobs) => jobs.inputs),
  })
  metrics.gauge({
    name: 'millrace_accounting_done_jobs',
    help: 'Jobs that ended well, some with errors in steps that may fail.',
    read: ofAccounts((jobs) => jobs.done),
  })
  metrics.gauge({
    name: 'millrace_accounting_failed_jobs',
    help: 'Jobs that failed.',
    read: ofAccounts((jobs) => jobs.failed),
  })
  metrics.gauge({
    name: 'millrace_accounting_quarantined_jobs',
    help: 'Jobs that failed because their file was set apart.',
    read: ofAccounts((jobs) => jobs.quarantined),
  })
  metrics.gauge({
    name: 'millrace_accounting_cancelled_jobs',
    help: 'Jobs that were cancelled.',
    read: ofAccounts((jobs) => jobs.cancelled),
  })
  metrics.gauge({
    name: 'millrace_accounting_in_flight_jobs',
    help: 'Jobs that have not ended.',
    read: ofAccounts((jobs) => jobs.in_flight),
  })
  metrics.gauge({
    name: 'millrace_accounting_missing_jobs',
    help: 'Jobs that are neither done, failed, quarantined, cancelled nor in flight. Anything but 0 is a bug.',
    read: ofAccounts(
      ({ inputs, done, failed, quarantined, cancelled, in_flight }) =>
        inputs - (done + failed + quarantined + cancelled + in_flight),
    ),
  })
}
