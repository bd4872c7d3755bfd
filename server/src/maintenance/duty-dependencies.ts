import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { WakeBus } from '../platform/wake.ts'
import type { Engine } from '../processing/engine.ts'
import type { Leader } from './leader.ts'
import type { SchedulerStore } from './scheduler-store.ts'

export interface DutyDependencies {
  store: SchedulerStore
  leader: Leader
  engine: Engine
  wake: WakeBus
  clock: Clock
  log: Log
}
