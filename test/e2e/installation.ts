// What an installation on real servers has for itself alone: a database, a logical database of Redis and a bucket, made
// on the servers that the environment names and removed again, so that installations never meet.

import { randomBytes, randomInt } from 'node:crypto'
import pg from 'pg'
import { createBucket } from '../harness/servers/s3.ts'
import { valkeyDatabasesCount } from '../harness/servers/valkey.ts'

export interface Installation {
  /** Settings of every process. */
  readonly environment: Record<string, string>
  remove(): Promise<void>
}

export async function makeInstallation(): Promise<Installation> {
  const name = `millrace_${randomBytes(6).toString('hex')}`
  const databaseUrl = new URL(setting('MILLRACE_TEST_DATABASE_URL'))
  const redisUrl = new URL(setting('MILLRACE_TEST_REDIS_URL'))
  const storeUrl = process.env['MILLRACE_TEST_S3_SEAWEEDFS'] ?? setting('MILLRACE_TEST_S3_VERSITYGW')
  const admin = databaseUrl.href
  await runSql(admin, `create database ${name}`)
  databaseUrl.pathname = `/${name}`
  redisUrl.pathname = `/${randomInt(1, valkeyDatabasesCount)}`
  return {
    environment: {
      DATABASE_URL: databaseUrl.href,
      REDIS_URL: redisUrl.href,
      OBJECT_STORE: await createBucket(storeUrl, name.replaceAll('_', '-')),
    },
    remove: () => runSql(admin, `drop database if exists ${name} with (force)`),
  }
}

function setting(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set: the split shape needs servers (npm test -- e2e)`)
  return value
}

async function runSql(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
