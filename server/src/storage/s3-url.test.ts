import { expect, test } from 'vitest'
import { parseS3Url } from './s3-url.ts'

test('an S3 URL names bucket, credentials, endpoint, region and prefix', () => {
  expect(
    parseS3Url('s3://KEY:se%2Fcret%2B@my-bucket/one/two?endpoint=http://127.0.0.1:9000&region=eu-central-1'),
  ).toEqual({
    bucket: 'my-bucket',
    prefix: 'one/two/',
    endpoint: 'http://127.0.0.1:9000',
    region: 'eu-central-1',
    credentials: { accessKeyId: 'KEY', secretAccessKey: 'se/cret+' },
  })
})

test('credentials that are handed in serve a URL without', () => {
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b', sessionToken: 'c' }
  expect(parseS3Url('s3://bucket', credentials)).toEqual({
    bucket: 'bucket',
    prefix: '',
    endpoint: undefined,
    region: 'us-east-1',
    credentials,
  })
  expect(parseS3Url('s3://k:s@bucket', credentials).credentials?.accessKeyId).toBe('k')
})

test.each([
  ['http://bucket', 'does not begin with s3://'],
  ['nonsense', 'does not begin with s3://'],
  ['s3://', 'names no valid bucket'],
  ['s3://Under_score', 'names no valid bucket'],
  ['s3://KEY-hunter2@bucket', 'only one of key and secret'],
  ['s3://KEY:%zz-hunter2@bucket', 'not percent-encoded'],
  ['s3://k:hunter2@bucket?endpoint=ftp://x', 'not an http or https URL'],
  ['s3://k:hunter2@bucket?endpoint=:', 'not an http or https URL'],
  ['s3://k:hunter2@bucket?regoin=x', 'unknown setting "regoin"'],
  ['s3://k:hunter2@bucket/UP', 'prefix with other characters'],
])('%s is refused, with the reason and without the secret', (url, reason) => {
  let message = ''
  try {
    parseS3Url(url)
  } catch (error) {
    expect(error).toMatchObject({ code: 'setting_invalid' })
    message = String(error)
  }
  expect(message).toContain(reason)
  expect(message).not.toContain('hunter2')
})
