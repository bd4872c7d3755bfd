// One engine under measurement, inside one of its processes. Tasks do nothing but leave a row as their result; an engine
// that has no place for a result inserts one itself, as a handler would.

export interface Side {
  /** Puts that many tasks in; only asked of the first process. */
  enqueue(count: number): Promise<void>
  /** Puts one in that carries the time, so that its start can be told. */
  enqueueOne(sentMs: number): Promise<void>
  /** Works until it is closed. */
  work(slots: number, tell: { started(sentMs: number): void; done(count: number): void }): Promise<void>
  close(): Promise<void>
}

export interface SideOptions {
  /** Of the database that the first process made; undefined: this is the first. */
  databaseUrl: string | undefined
  redisUrl: string | undefined
}

/** Answers with the URL that the other processes join. */
export type OpenSide = (options: SideOptions) => Promise<{ side: Side; databaseUrl: string | undefined }>
