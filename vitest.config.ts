import { defineConfig } from 'vitest/config'

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
    // What is waited for comes in milliseconds, and late on a busy machine; a poll that gives up early tells nothing.
    expect: { poll: { timeout: Math.min(timeoutMs, 45_000) } },
  },
})

export default defineConfig({
  test: {
    maxWorkers: 2,
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
