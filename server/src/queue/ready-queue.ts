// The ready queue holds hints: "this task, at this epoch, may be taken". It is shallow (about twice the worker slots)
// and may lose, double or delay any hint; the lease in the database is the only authority. It carries ids only.

export interface ReadyTask {
  taskId: number
  /** lease_epoch at admission; a claim with another epoch fails. */
  epoch: number
  tenantId: number
}

export interface OfferedTask extends ReadyTask {
  /** Expected worker time; short tasks of which it is told, and that stand beside each other, are handed out together. */
  costMs?: number
}

export interface ReadyQueue {
  readonly kind: 'pg' | 'bullmq'
  /** Offers tasks in this order. Rejects when the transport is down; the tasks' leases then run out and they are admitted anew. */
  push(pool: number, tasks: readonly OfferedTask[]): Promise<void>
  /** Tasks offered and not yet taken, as well as the transport knows. */
  depth(pool: number): Promise<number>
  /**
   * Up to max tasks, oldest first; waits up to waitMs for the first one. Short tasks may come in bunches that count as one
   * each (bunches.ts). A taken hint is gone from the queue.
   */
  take(pool: number, options: { max: number; waitMs: number; signal: AbortSignal }): Promise<ReadyTask[]>
  /** False when the transport has lost what it held since the last call (restart, flush); the leader then admits anew at once. */
  intact(): Promise<boolean>
  close(): Promise<void>
}
