import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// unit: no I/O, milliseconds. db: a database (and Redis, S3 where they are named in the environment). e2e: the product
// from outside. Which servers a run has is told by MILLRACE_TEST_* variables; scripts/test.mjs sets and explains them.
const project = (name: string, include: string[], timeoutMs: number) => ({
  test: {
    name,
    include,
    testTimeout: timeoutMs,
    hookTimeout: 120_000,
    environment: 'node',
    pool: 'forks' as const,
    // As scripts/project.mjs starts the product.
    execArgv: ['--disable-warning=ExperimentalWarning'],
    // What is waited for comes in milliseconds, and late on a busy machine; a poll that gives up early tells nothing.
    expect: { poll: { timeout: Math.min(timeoutMs, 45_000) } },
  },
})

/** They begin first, so that no worker ends a run with one of them alone. */
const long = /\/(?:simulation|faults|restart|command-line|resumable|queue-plans\.db|failover\.db)\.test\.ts$/

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return [...sorted.filter((file) => long.test(file.moduleId)), ...sorted.filter((file) => !long.test(file.moduleId))]
  }
}

export default defineConfig({
  test: {
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
    projects: [
      project(
        'unit',
        ['{contract,server,cli,dashboard}/src/**/*.test.ts', '!**/*.db.test.ts', '!**/*.sandbox.test.ts'],
        30_000,
      ),
      project('db', ['server/src/**/*.db.test.ts'], 120_000),
      project('sandbox', ['server/src/**/*.sandbox.test.ts'], 120_000),
      project('e2e', ['test/{e2e,browser,harness,fixtures,chaos}/**/*.test.ts'], 300_000),
    ],
  },
})
