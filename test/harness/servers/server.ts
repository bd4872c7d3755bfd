// The real servers and programs that tests run on. Each module of this folder describes one of them: whether it is here,
// how it is installed, how it is started on free ports below a temporary folder and ended without a trace.
// Knows nothing of suites; ../run.ts decides which suite gets which server.

import type { ServerProcess } from './server-process.ts'

/** How a part gets onto a machine. Nothing is fetched but through the package managers' ordinary clients. */
export type Package =
  | { by: 'apt'; packages: readonly string[] }
  | { by: 'pip'; name: string; version: string }
  | { by: 'go'; module: string; version: string }

export type Finding = { found: true; version: string } | { found: false; why: string }

export interface Part {
  /** For people, and the key under which ../run.ts asks for it. */
  readonly name: string
  readonly package: Package
  /** Whether it can be used here; never installs anything. */
  find(): Promise<Finding>
}

export interface RunningServer {
  readonly url: string
  readonly process: ServerProcess
  /** Ends the server by its process id and removes its folder. */
  stop: () => Promise<void>
}

/** A server that listens. start resolves once it answers, and rejects with the end of its log when it does not. */
export interface Server extends Part {
  start(): Promise<RunningServer>
}

/** A program that is started by the product or a test when it is needed. */
export interface Program extends Part {
  /** Absolute path, once it has been found. */
  readonly path: string
}

/** Bucket that each S3 server starts with; tests that want their own make it beside. */
export const testBucket = 'millrace-test'
