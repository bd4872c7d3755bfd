// Redis for tests: a logical database, empty and of its own, on the server that MILLRACE_TEST_REDIS_URL names.

import { randomInt } from 'node:crypto'
import { Redis } from 'ioredis'

const databasesCount = 1_024 // As the harness configures its server.

export const testRedisUrl = (): string | undefined => process.env['MILLRACE_TEST_REDIS_URL']

export async function openTestRedis(server: string): Promise<{ url: string; client: Redis }> {
  const url = new URL(server)
  // Not those that the end-to-end suites count from.
  url.pathname = `/${randomInt(512, databasesCount)}`
  const client = new Redis(url.href)
  await client.flushdb()
  return { url: url.href, client }
}
