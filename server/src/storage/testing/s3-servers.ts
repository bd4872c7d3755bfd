// The S3 servers that this run has, named in the environment as s3://KEY:SECRET@BUCKET?endpoint=…; a test makes a
// bucket of its own on one, so that tests do not meet.

import { randomBytes } from 'node:crypto'
import { DeleteBucketCommand, DeleteObjectsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { parseS3Url } from '../s3-url.ts'

export interface S3Server {
  name: string
  url: string
}

export const s3Servers = (): S3Server[] =>
  [
    { name: 'SeaweedFS', url: process.env['MILLRACE_TEST_S3_SEAWEEDFS'] },
    { name: 'versitygw', url: process.env['MILLRACE_TEST_S3_VERSITYGW'] },
  ].filter((server): server is S3Server => server.url !== undefined && server.url !== '')

/** The server's URL with a bucket that does not exist yet. */
export function newBucketUrl(server: S3Server): string {
  const url = new URL(server.url)
  url.host = `test-${randomBytes(6).toString('hex')}`
  return url.href
}

/** Removes the bucket with all that is in it. */
export async function removeBucket(url: string): Promise<void> {
  const place = parseS3Url(url)
  const Bucket = place.bucket
  const client = new S3Client({
    region: place.region,
    forcePathStyle: true,
    ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint }),
    ...(place.credentials === undefined ? {} : { credentials: place.credentials }),
  })
  for (;;) {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }))
    if (Contents.length === 0) break
    await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: Contents.map(({ Key }) => ({ Key })) } }))
  }
  await client.send(new DeleteBucketCommand({ Bucket }))
  client.destroy()
}
