// Figures for Prometheus. A metric is declared once, with the closed list of each label's values; a value that is not
// on the list counts as "other", so that no tenant, path or id ever becomes a label.

import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import { invariant } from './problem.ts'

/** What a metric's name may end in; counters end in total. */
export const metricUnits = [
  'seconds',
  'bytes',
  'ratio',
  'total',
  'requests',
  'watchers',
  'jobs',
  'tasks',
  'workers',
  'slots',
  'files',
] as const

const overflow = 'other'

type LabelLists = Record<string, readonly string[]>
type LabelValues<L extends LabelLists> = { readonly [K in keyof L]: L[K][number] }

export interface MetricOptions<L extends LabelLists> {
  /** millrace_…, lower case, ending in one of metricUnits. */
  name: string
  help: string
  labels: L
}

export interface Metrics {
  counter<const L extends LabelLists>(options: MetricOptions<L>): { add(labels: LabelValues<L>, amount?: number): void }
  histogram<const L extends LabelLists>(
    options: MetricOptions<L> & { buckets: readonly number[] },
  ): { observe(labels: LabelValues<L>, value: number): void }
  /** Read when scraped. */
  gauge(options: { name: string; help: string; read: () => number | Promise<number> }): void
  /** Prometheus' text format. */
  scrape(): Promise<{ contentType: string; text: string }>
}

/** A registry of its own; processFigures adds memory, CPU, event loop and descriptors of this process. */
export function createMetrics(options: { processFigures: boolean }): Metrics {
  const registry = new Registry()
  if (options.processFigures) collectDefaultMetrics({ register: registry, prefix: 'millrace_' })

  const closed = (lists: LabelLists) => {
    const sets = Object.entries(lists).map(([name, values]) => [name, new Set(values)] as const)
    return (labels: Record<string, string>): Record<string, string> =>
      Object.fromEntries(
        sets.map(([name, values]) => {
          const value = labels[name] ?? overflow
          return [name, values.has(value) ? value : overflow]
        }),
      )
  }

  return {
    counter(options) {
      checkName(options.name)
      invariant(options.name.endsWith('_total'), `${options.name}: a counter ends in _total`)
      const metric = new Counter({ ...describe(options), registers: [registry] })
      const close = closed(options.labels)
      return { add: (labels, amount = 1) => metric.inc(close(labels), amount) }
    },
    histogram(options) {
      checkName(options.name)
      const metric = new Histogram({ ...describe(options), buckets: [...options.buckets], registers: [registry] })
      const close = closed(options.labels)
      return { observe: (labels, value) => metric.observe(close(labels), value) }
    },
    gauge(options) {
      checkName(options.name)
      void new Gauge({
        name: options.name,
        help: options.help,
        registers: [registry],
        async collect() {
          // What cannot be read now is told as such; the other figures of a scrape are not held up by it.
          this.set(await Promise.resolve(options.read()).catch(() => NaN))
        },
      })
    },
    async scrape() {
      return { contentType: registry.contentType, text: await registry.metrics() }
    },
  }
}

const describe = (options: MetricOptions<LabelLists>) => ({
  name: options.name,
  help: options.help,
  labelNames: Object.keys(options.labels),
})

function checkName(name: string): void {
  const unit = name.slice(name.lastIndexOf('_') + 1)
  const known = (metricUnits as readonly string[]).includes(unit)
  invariant(/^millrace_[a-z][a-z0-9_]*$/.test(name) && known, `${name}: a metric is millrace_… and ends in its unit`)
}
