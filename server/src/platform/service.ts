// What a role is made of. Services start in order and stop in reverse; stop bears being called twice and before start.

export interface Service {
  readonly name: string
  /** Resolves once the service works; the signal ends what it does in the background. */
  start(signal: AbortSignal): Promise<void>
  /** Resolves when the service has let go of everything, at the latest after the deadline. */
  stop(deadlineMs: number): Promise<void>
}
