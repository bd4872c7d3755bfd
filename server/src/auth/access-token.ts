// Access tokens: JWTs (RFC 7519) signed with ES256, ten minutes long. We are the only issuer and the only audience, so
// a token's header must be, byte for byte, the one that we write for a key of ours: there is no algorithm, key URL or
// critical extension to be confused by. Signatures are checked synchronously, which is three times as fast as WebCrypto.

import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto'
import type { Clock } from '../platform/clock.ts'
import { decodeId, encodeId, type RowId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'

export interface AccessClaims {
  userId: RowId<'user'>
  tenantId: RowId<'tenant'>
  /** Family of the session's refresh tokens. */
  session: string
}

export interface SigningKey {
  kid: string
  privateKey: KeyObject
}

export interface AccessTokens {
  readonly lifetimeMs: number
  issue(claims: AccessClaims): string
  /** Throws Problem unauthenticated, or token_expired for one that was good. */
  read(token: string): AccessClaims
}

const lifetimeMs = 10 * 60_000
/** Processes' clocks may differ by as much. */
const clockSkewMs = 5_000
const tokenLengthMax = 1_000
const issuer = 'millrace'
const audience = 'millrace-api'

/** PKCS #8 of a new P-256 key. */
export const makeSigningKey = (): Uint8Array =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'der' })

export const readSigningKey = (kid: string, pkcs8: Uint8Array): SigningKey => ({
  kid,
  privateKey: createPrivateKey({ key: Buffer.from(pkcs8), type: 'pkcs8', format: 'der' }),
})

/** Signs with the last key and accepts all of them. */
export function createAccessTokens(deps: { clock: Clock; keys: readonly [SigningKey, ...SigningKey[]] }): AccessTokens {
  const { clock, keys } = deps
  const verifiers = new Map(keys.map(({ kid, privateKey }) => [headerOf(kid), createPublicKey(privateKey)] as const))
  const signer = keys.at(-1) ?? keys[0]
  const signerHeader = headerOf(signer.kid)

  return {
    lifetimeMs,
    issue({ userId, tenantId, session }) {
      const iat = Math.floor(clock.now().getTime() / 1_000)
      const claims = {
        iss: issuer,
        aud: audience,
        sub: encodeId('user', userId),
        tid: encodeId('tenant', tenantId),
        sid: session,
        iat,
        exp: iat + lifetimeMs / 1_000,
      }
      const text = `${signerHeader}.${encode(JSON.stringify(claims))}`
      return `${text}.${sign('sha256', Buffer.from(text), { key: signer.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    },
    read(token) {
      const [header, payload, signature, more] = token.length > tokenLengthMax ? [] : token.split('.')
      const key = verifiers.get(header ?? '')
      if (!key || !payload || !signature || more !== undefined) throw new Problem('unauthenticated')
      const bytes = Buffer.from(signature, 'base64url')
      // One text per signature: base64url decoding is lenient, and a second spelling would be a second token.
      const exact = bytes.length === 64 && bytes.toString('base64url') === signature
      const signed = Buffer.from(`${header}.${payload}`)
      if (!exact || !verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, bytes))
        throw new Problem('unauthenticated')
      return readClaims(payload, clock.now().getTime())
    },
  }
}

/** The signature holds, so the payload is one of ours; what it says is checked all the same. */
function readClaims(payload: string, nowMs: number): AccessClaims {
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
  const { iss, aud, sub, tid, sid, iat, exp } = claims
  const userId = decodeId('user', String(sub))
  const tenantId = decodeId('tenant', String(tid))
  const whole = typeof sid === 'string' && Number.isSafeInteger(iat) && Number.isSafeInteger(exp)
  if (iss !== issuer || aud !== audience || !whole || userId === undefined || tenantId === undefined) {
    throw new Problem('unauthenticated')
  }
  // Number.isSafeInteger has just seen both.
  const [issuedAt, expiresAt] = [iat, exp] as [number, number]
  if (nowMs >= expiresAt * 1_000) throw new Problem('token_expired')
  if (nowMs + clockSkewMs < issuedAt * 1_000)
    throw new Problem('unauthenticated', { detail: 'The token is from the future.' })
  return { userId, tenantId, session: sid }
}

const encode = (text: string): string => Buffer.from(text).toString('base64url')
const headerOf = (kid: string): string => encode(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid }))
