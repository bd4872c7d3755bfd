// What a benchmark is: something measured beside a named peer in the same run, so that what is told is a ratio and not
// the speed of a machine. One per file, bench/<name>.bench.ts; bench/main.ts runs them.

export type Row = Record<string, string | number>

export interface Benchmark {
  /** That of its file. */
  readonly name: string
  readonly summary: string
  /**
   * Servers that it uses when they are here; it finds them in the environment as the tests do, and does without those
   * that are missing.
   */
  readonly uses?: readonly ('postgres15' | 'postgres18' | 'valkey' | 'seaweedfs' | 'versitygw')[]
  /** `full` adds the cases that take minutes. Everything it started has ended when this resolves or rejects. */
  run(options: { full: boolean }): Promise<{ rows: Row[]; notes?: string[] }>
}
