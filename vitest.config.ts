import { defineConfig } from 'vitest/config'

// unit: no I/O, milliseconds. db: a database (and Redis, S3 where they are named in the environment). e2e: the product
// from outside. Which servers a run has is told by MILLRACE_TEST_* variables; scripts/test.mjs sets and explains them.
const project = (name: string, include: string[], timeoutMs: number) => ({
  test: { name, include, testTimeout: timeoutMs, hookTimeout: 60_000, environment: 'node', pool: 'forks' as const },
})

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      project(
        'unit',
        ['{contract,server,cli,dashboard}/src/**/*.test.ts', '!**/*.db.test.ts', '!**/*.sandbox.test.ts'],
        10_000,
      ),
      project('db', ['server/src/**/*.db.test.ts'], 60_000),
      project('sandbox', ['server/src/**/*.sandbox.test.ts'], 120_000),
      project('e2e', ['test/{e2e,browser,harness,fixtures}/**/*.test.ts'], 300_000),
    ],
  },
})
