// What the S3 servers have in common: the shape of their url, a bucket to start with, and what "ready" means. A port that
// listens is not a store that works, so readiness is a bucket made, an object written and read again.

import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { testBucket } from './server.ts'

export const s3Credentials = { accessKeyId: 'millracetest', secretAccessKey: 'millracetestsecret' }
const region = 'us-east-1'
const requestTimeoutMs = 5_000

/** s3://KEY:SECRET@BUCKET?endpoint=http://host:port&region=… */
export function s3Url(port: number, bucket: string = testBucket): string {
  const { accessKeyId, secretAccessKey } = s3Credentials
  return `s3://${accessKeyId}:${secretAccessKey}@${bucket}?endpoint=http://127.0.0.1:${port}&region=${region}`
}

/** Makes a bucket on the server of an s3 url, and answers the url with that bucket in it. */
export async function createBucket(url: string, bucket: string): Promise<string> {
  const client = s3Client(url)
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }), { requestTimeout: requestTimeoutMs })
  } finally {
    client.destroy()
  }
  const changed = new URL(url)
  changed.hostname = bucket
  return changed.href
}

/** Whether the server of the url can make its bucket, and write and read an object in it. */
export async function s3Works(url: string): Promise<boolean> {
  const client = s3Client(url)
  const Bucket = new URL(url).hostname
  const Key = 'ready'
  const options = { requestTimeout: requestTimeoutMs }
  try {
    await client.send(new CreateBucketCommand({ Bucket }), options).catch((error: unknown) => {
      if (!(error instanceof Error) || !error.name.startsWith('BucketAlready')) throw error
    })
    await client.send(new PutObjectCommand({ Bucket, Key, Body: 'ready' }), options)
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }), options)
    await client.send(new DeleteObjectCommand({ Bucket, Key }), options)
    return (await Body?.transformToString()) === 'ready'
  } finally {
    client.destroy()
  }
}

export function s3Client(url: string): S3Client {
  const parsed = new URL(url)
  return new S3Client({
    endpoint: parsed.searchParams.get('endpoint') ?? '',
    region: parsed.searchParams.get('region') ?? region,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: {
      accessKeyId: decodeURIComponent(parsed.username),
      secretAccessKey: decodeURIComponent(parsed.password),
    },
  })
}
