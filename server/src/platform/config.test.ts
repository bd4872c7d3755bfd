import { describe, expect, it } from 'vitest'
import { readConfig } from './config.ts'
import { Problem } from './problem.ts'

const machine = { cpusCount: 2, cwd: '/srv' }
const detailOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof Problem && error.code === 'setting_invalid') return error.detail ?? ''
    throw error
  }
  throw new Error('It was accepted')
}

describe('readConfig', () => {
  it('runs everything embedded in ./data when nothing is set', () => {
    const config = readConfig({}, {}, machine)
    expect(config).toMatchObject({
      role: 'all',
      dataFolder: '/srv/data',
      host: '127.0.0.1',
      port: undefined,
      workerSlotsCount: 4,
    })
    expect(config.objectStore).toEqual({ kind: 'disk', folder: '/srv/data/objects' })
  })

  it('lets flags win over the environment', () => {
    expect(readConfig({ port: '9000' }, { PORT: '8000' }, machine).port).toBe(9000)
  })

  it.each([
    [{ role: 'boss' }, {}, '--role is "boss"; expected one of all, api'],
    [{ port: '80a' }, {}, '--port or PORT is "80a"; expected a whole number'],
    [{ port: '70000' }, {}, 'from 0 to 65535'],
    [
      {},
      { DATABASE_URL: 'mysql://user:secret@host/db' },
      'DATABASE_URL is "mysql://…"; expected a URL that starts with postgres://',
    ],
    [{}, { REDIS_URL: 'localhost' }, 'REDIS_URL is "(not a URL)"'],
    [{}, { OBJECT_STORE: 'objects' }, 'OBJECT_STORE is "objects"; expected an absolute folder, s3://'],
    [
      {},
      { OBJECT_STORE: 's3://bucket?endpoint=http://127.0.0.1:1' },
      'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is not set',
    ],
    [{ role: 'worker' }, {}, 'DATABASE_URL is not set; expected a value for --role=worker'],
    [{ role: 'api' }, { DATABASE_URL: 'postgres://h/d' }, 'OBJECT_STORE is not set'],
    [{}, { MILLRACE_WORKER_SLOTS: '0' }, 'MILLRACE_WORKER_SLOTS is "0"'],
    [{}, { LOG_LEVEL: 'loud' }, 'LOG_LEVEL is "loud"'],
  ])('names the setting and what was expected: %j %j', (flags, environment, detail) => {
    expect(detailOf(() => readConfig(flags, environment, machine))).toContain(detail)
  })

  it('never repeats a password in a message', () => {
    expect(detailOf(() => readConfig({}, { DATABASE_URL: 'mysql://user:secret@host/db' }, machine))).not.toContain(
      'secret',
    )
  })

  it('adds the credentials of the environment to an S3 url without any', () => {
    const environment = {
      OBJECT_STORE: 's3://bucket?endpoint=http://127.0.0.1:1',
      AWS_ACCESS_KEY_ID: 'key',
      AWS_SECRET_ACCESS_KEY: 'a/b',
    }
    expect(readConfig({}, environment, machine).objectStore).toEqual({
      kind: 's3',
      url: 's3://key:a%2Fb@bucket?endpoint=http://127.0.0.1:1',
    })
  })
})
