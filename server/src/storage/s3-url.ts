// s3://KEY:SECRET@BUCKET/PREFIX?endpoint=http://host:port&region=us-east-1
//
// Key and secret are percent-encoded. Without them the credentials that are handed in are used, else those that the
// machine's role gives. Without an endpoint it is AWS. The prefix is for several installations in one bucket.

import { Problem } from '../platform/problem.ts'
import { checkKey } from './object-key.ts'

export interface S3Credentials {
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string
}

export interface S3Place {
  bucket: string
  /** Empty, or ends in "/". */
  prefix: string
  endpoint: string | undefined
  region: string
  credentials: S3Credentials | undefined
}

const regionDefault = 'us-east-1'
const expected = 's3://KEY:SECRET@BUCKET?endpoint=http://host:port&region=us-east-1'

/** Throws Problem('setting_invalid') that says what is wrong and never repeats the URL, which may hold a secret. */
export function parseS3Url(text: string, handedIn?: S3Credentials): S3Place {
  const wrong = (what: string): Problem =>
    new Problem('setting_invalid', { detail: `The S3 URL ${what}; expected ${expected}` })
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 's3:') throw wrong('does not begin with s3://')
  const bucket = url.host
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) throw wrong('names no valid bucket')
  if ((url.username === '') !== (url.password === '')) throw wrong('has only one of key and secret')
  for (const name of url.searchParams.keys())
    if (name !== 'endpoint' && name !== 'region') throw wrong(`has an unknown setting "${name}"`)
  const endpoint = url.searchParams.get('endpoint') ?? undefined
  if (endpoint !== undefined && !/^https?:$/.test(URL.canParse(endpoint) ? new URL(endpoint).protocol : ''))
    throw wrong('has an endpoint that is not an http or https URL')
  return {
    bucket,
    prefix: prefixOf(url, wrong),
    endpoint,
    region: url.searchParams.get('region') ?? regionDefault,
    credentials:
      url.username === ''
        ? handedIn
        : { accessKeyId: decoded(url.username, wrong), secretAccessKey: decoded(url.password, wrong) },
  }
}

function decoded(text: string, wrong: (what: string) => Problem): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw wrong('has a key or secret that is not percent-encoded')
  }
}

function prefixOf(url: URL, wrong: (what: string) => Problem): string {
  const prefix = url.pathname.replace(/^\/|\/$/g, '')
  if (prefix === '') return ''
  try {
    checkKey(prefix)
  } catch {
    throw wrong('has a prefix with other characters than a-z, 0-9, _ and /')
  }
  return `${prefix}/`
}
