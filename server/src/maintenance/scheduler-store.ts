// What the leader's duties need of the database. Each method is one statement.

import type { ClaimedTask } from '../processing/engine-store.ts'
import type { EndedTask } from '../processing/settlement.ts'
import type { ReadyTask } from '../queue/ready-queue.ts'

export interface Leadership {
  shard: number
  owner: string
  epoch: number
}

/** A tenant with queued tasks in a lane. */
export interface BackloggedTenant {
  lane: number
  tenantId: number
  /** Expected worker time of its next task. */
  costMs: number
  weight: number
  /** Tasks of it that may be under way at once. */
  runningMax: number
  /** Tokens that are left in its bucket, and in that of the whole pool; null where there is no rate. */
  startsFree: number | null
  poolStartsFree: number | null
}

export interface AdmitOrder {
  lane: number
  tenantId: number
  count: number
}

export interface AdmittedTask extends ReadyTask {
  lane: number
  costMs: number
  rank: number
  /** One of those that a step was split into: nothing follows it but its step's end. */
  isPart: boolean
}

export interface StartedTask extends AdmittedTask {
  claimed: ClaimedTask
}

export interface LostTask extends EndedTask {
  lostCount: number
}

/** winding: cancelled or stopped, with more left than what runs. moving: paused or resumed, and its tasks are not yet. */
export interface UnfinishedJob {
  jobId: number
  kind: 'winding' | 'moving' | 'splitting'
}

export interface SchedulerStore {
  /** Takes or keeps the lead, and answers it; nothing while another has it. Taking it over begins a new epoch. */
  lead(wanted: {
    shard: number
    owner: string
    epoch: number | undefined
    leaseMs: number
  }): Promise<Leadership | undefined>
  /** Gives the lead up, so that another need not wait for its end. */
  resign(leadership: Leadership): Promise<void>
  /** Slots of the workers that have been seen lately. */
  countSlots(): Promise<number>
  /** Without those that are paused, nobody when the pool is; at most so many. */
  listBacklog(pool: number, limit: number): Promise<BackloggedTenant[]>
  /** Tasks dispatched or running of each of these tenants. */
  countInFlight(tenantIds: readonly number[]): Promise<Map<number, number>>
  /**
   * queued -> dispatched, by rank within each order, with the next epoch and for a token each where there is a rate; each
   * tenant's virtual time moves up to the rank that was admitted. Nothing for whoever does not lead any more.
   */
  admit(admission: {
    pool: number
    orders: readonly AdmitOrder[]
    leaseMs: number
    leadership: Leadership
  }): Promise<AdmittedTask[]>
  /** The same, claimed for a worker in one: queued -> running. */
  start(start: {
    pool: number
    orders: readonly AdmitOrder[]
    leaseMs: number
    worker: string
    leadership: Leadership
  }): Promise<StartedTask[]>
  /** dispatched -> queued, for those not claimed in time; answers how many. */
  requeueExpired(limit: number): Promise<number>
  /** Ends the leases of what is dispatched, or of all that is in flight, at once; answers how many. */
  expireLeases(which: 'dispatched' | 'all'): Promise<number>
  /** Running tasks whose lease is over. */
  listLost(limit: number): Promise<LostTask[]>
  /** delayed -> queued, for those whose time has come; answers how many. */
  promoteDelayed(limit: number): Promise<number>
  /** Jobs with something left to be cancelled, held, let go or split; so many of each kind. */
  listUnfinished(limit: number): Promise<UnfinishedJob[]>
  /** Tasks still running of jobs that have been wound up for so long. */
  listAbandoned(graceMs: number, limit: number): Promise<EndedTask[]>
  writeDemand(pool: number, slots: number): Promise<void>
  /** Takes succeeded tasks of jobs that ended so long ago out of the table, so many at most. */
  archiveTasks(endedMs: number, limit: number): Promise<{ tasks: number; jobs: number }>
  deleteOldAttempts(keptMs: number, limit: number): Promise<number>
  deleteOldEvents(keptMs: number, limit: number): Promise<number>
  deleteOldKeys(keptMs: number, limit: number): Promise<number>
  deleteOldWorkers(keptMs: number): Promise<number>
}
