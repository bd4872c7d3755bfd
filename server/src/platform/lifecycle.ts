// Runs the services of a role: started in order, stopped in reverse, the whole stop within one deadline.

import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import type { Service } from './service.ts'

export interface RunningServices {
  /** Safe to call more than once; resolves when every service has stopped or the deadline has passed. */
  stop(deadlineMs: number): Promise<void>
}

/** Starts all or, when one fails, stops those already started and throws the failure. */
export async function startServices(
  services: readonly Service[],
  deps: { clock: Clock; log: Log },
): Promise<RunningServices> {
  const controller = new AbortController()
  const started: Service[] = []
  let stopping: Promise<void> | undefined
  const stop = (deadlineMs: number): Promise<void> =>
    (stopping ??= stopAll(started, controller, { ...deps, deadlineMs }))
  for (const service of services) {
    try {
      started.push(service)
      await service.start(controller.signal)
      deps.log.debug('service.started', { service: service.name })
    } catch (error) {
      await stop(1_000)
      throw error
    }
  }
  return { stop }
}

async function stopAll(
  started: Service[],
  controller: AbortController,
  options: { clock: Clock; log: Log; deadlineMs: number },
): Promise<void> {
  const { clock, log, deadlineMs } = options
  const end = clock.monotonicMs() + deadlineMs
  for (const service of started.toReversed()) {
    const left = Math.max(0, end - clock.monotonicMs())
    const outcome = await Promise.race([
      service.stop(left).then(
        () => 'stopped' as const,
        (error: unknown) => error,
      ),
      clock.sleep(left + 100).then(() => 'late' as const),
    ])
    if (outcome !== 'stopped')
      log.warn('service.stop_failed', {
        service: service.name,
        reason: outcome === 'late' ? 'deadline' : String(outcome),
      })
  }
  controller.abort()
}
