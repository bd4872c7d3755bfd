import { describe, expect, it } from 'vitest'
import { createMetrics } from './metrics.ts'

describe('metrics', () => {
  it('count a label value that is not on its list as other', async () => {
    const metrics = createMetrics({ processFigures: false })
    const jobs = metrics.counter({ name: 'millrace_jobs_total', help: 'h', labels: { state: ['done', 'failed'] } })
    jobs.add({ state: 'done' })
    jobs.add({ state: 'done' }, 2)
    // Types forbid it; a value from outside the program does not ask them.
    jobs.add({ state: 'tenant_42' as 'done' })
    const { text, contentType } = await metrics.scrape()
    expect(text).toContain('millrace_jobs_total{state="done"} 3')
    expect(text).toContain('millrace_jobs_total{state="other"} 1')
    expect(text).not.toContain('tenant_42')
    expect(contentType).toContain('text/plain')
  })

  it('are read when they are scraped, and timed into buckets', async () => {
    const metrics = createMetrics({ processFigures: false })
    let watchers = 1
    metrics.gauge({ name: 'millrace_open_watchers', help: 'h', read: () => watchers })
    const time = metrics.histogram({ name: 'millrace_step_duration_seconds', help: 'h', labels: {}, buckets: [1, 2] })
    time.observe({}, 1.5)
    watchers = 7
    const { text } = await metrics.scrape()
    expect(text).toContain('millrace_open_watchers 7')
    expect(text).toMatch(/le="1"\} 0\n.*le="2"\} 1/)
  })

  it.each(['jobs_total', 'millrace_queue', 'millrace_Jobs_total', 'millrace_size_mb'])('refuse the name %s', (name) => {
    const metrics = createMetrics({ processFigures: false })
    expect(() => metrics.gauge({ name, help: 'h', read: () => 0 })).toThrow('ends in its unit')
  })

  it('refuse a counter that does not end in total, and a name that is taken', () => {
    const metrics = createMetrics({ processFigures: false })
    const labels = {}
    expect(() => metrics.counter({ name: 'millrace_read_bytes', help: 'h', labels })).toThrow('_total')
    metrics.counter({ name: 'millrace_x_total', help: 'h', labels })
    expect(() => metrics.counter({ name: 'millrace_x_total', help: 'h', labels })).toThrow()
  })

  it('tell the process’s own figures under our prefix', async () => {
    const { text } = await createMetrics({ processFigures: true }).scrape()
    expect(text).toContain('millrace_process_resident_memory_bytes')
  })
})
