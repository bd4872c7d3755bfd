// The signed-in session of this browser: who gives the credentials for each request, and when they are renewed.
// Owns the stored secret (a refresh token or an API key) and the access token, which lives in memory only.
// Must not know what the requests are about. Keeps one invariant: a refresh token is single use, so no two refreshes
// ever run at once, neither in this tab nor in another one that shares the store.

import { ApiProblem, type SessionResource } from '@millrace/contract'

/** What outlives a reload. */
export type StoredSecret = { kind: 'refresh_token'; token: string } | { kind: 'api_key'; key: string }

/** Where the secret is kept; `keep` says whether it outlives the browser. */
export interface SecretStore {
  read: () => StoredSecret | null
  /** Replaces what is there; without `keep` the place stays the one it was read from. */
  write: (secret: StoredSecret, keep?: boolean) => void
  clear: () => void
}

/** The three calls a session needs; none of them carries credentials of its own. */
export interface SessionCalls {
  createSession: (login: { email: string; password: string }) => Promise<SessionResource>
  refreshSession: (refreshToken: string) => Promise<SessionResource>
  deleteSession: (refreshToken: string) => Promise<void>
  /** Fails with ApiProblem when the key is not accepted. */
  checkApiKey: (key: string) => Promise<void>
}

export interface SessionDependencies {
  calls: SessionCalls
  store: SecretStore
  /** Runs the work while no other tab runs work under the same lock. */
  exclusively: <T>(work: () => Promise<T>) => Promise<T>
  nowMs: () => number
}

export type SessionState =
  | { kind: 'signed-in' }
  /** `problem` tells why a session ended without the person asking for it. */
  | { kind: 'signed-out'; problem: ApiProblem | null }

export interface Session {
  getState: () => SessionState
  subscribe: (listener: () => void) => () => void
  signIn: (login: { email: string; password: string; keep: boolean }) => Promise<void>
  signInWithKey: (options: { key: string; keep: boolean }) => Promise<void>
  signOut: () => Promise<void>
  /** Credentials for a request about to be sent; throws ApiProblem when there are none. */
  credentials: () => Promise<string>
  /** After a 401 for `refused`: other credentials to try once more, or null when the session is over. */
  renew: (refused: string, problem: ApiProblem) => Promise<string | null>
  /** To be called when the store was changed by another tab. */
  noticeStoreChange: () => void
}

/** Renewed this long before its end, so that no request leaves with a token that dies on the way. */
const renewBeforeMs = 30_000

const noCredentials = () =>
  new ApiProblem({
    type: 'about:blank',
    title: 'You are signed out.',
    status: 401,
    code: 'unauthenticated',
    remedy: 'Sign in again.',
  })

export function createSession({ calls, store, exclusively, nowMs }: SessionDependencies): Session {
  let state: SessionState = store.read() ? { kind: 'signed-in' } : { kind: 'signed-out', problem: null }
  let access: { token: string; renewAtMs: number } | null = null
  let refreshing: Promise<string> | null = null
  const listeners = new Set<() => void>()

  function setState(next: SessionState): void {
    state = next
    for (const listener of listeners) listener()
  }

  function accept(answer: SessionResource, keep?: boolean): string {
    const lifetimeMs = answer.expires_in * 1_000
    // A lifetime shorter than twice the margin is used to its half, so that a token is never stale on arrival.
    const usableMs = Math.max(lifetimeMs - renewBeforeMs, lifetimeMs / 2)
    access = { token: answer.access_token, renewAtMs: nowMs() + usableMs }
    store.write({ kind: 'refresh_token', token: answer.refresh_token }, keep)
    return answer.access_token
  }

  function end(problem: ApiProblem | null): void {
    access = null
    store.clear()
    setState({ kind: 'signed-out', problem })
  }

  async function refreshOnce(): Promise<string> {
    // Read inside the lock: another tab may have exchanged the token in the meantime.
    const secret = store.read()
    if (secret?.kind !== 'refresh_token') throw noCredentials()
    try {
      return accept(await calls.refreshSession(secret.token))
    } catch (error) {
      // Only a refusal ends the session; a server that does not answer leaves it as it is.
      if (error instanceof ApiProblem && error.problem.status === 401) end(error)
      throw error
    }
  }

  function refresh(): Promise<string> {
    refreshing ??= exclusively(refreshOnce).finally(() => {
      refreshing = null
    })
    return refreshing
  }

  return {
    getState: () => state,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async signIn({ email, password, keep }) {
      accept(await calls.createSession({ email, password }), keep)
      setState({ kind: 'signed-in' })
    },
    async signInWithKey({ key, keep }) {
      await calls.checkApiKey(key)
      store.write({ kind: 'api_key', key }, keep)
      setState({ kind: 'signed-in' })
    },
    async signOut() {
      const secret = store.read()
      end(null)
      if (secret?.kind === 'refresh_token') {
        // Signed out here whatever the server says; its session ends by itself at the latest when it expires.
        await calls.deleteSession(secret.token).catch(() => undefined)
      }
    },
    async credentials() {
      const secret = store.read()
      if (!secret) throw noCredentials()
      if (secret.kind === 'api_key') return secret.key
      if (access && nowMs() < access.renewAtMs) return access.token
      return refresh()
    },
    async renew(refused, problem) {
      const secret = store.read()
      if (!secret) return null
      if (secret.kind === 'api_key') {
        if (secret.key !== refused) return secret.key
        end(problem)
        return null
      }
      if (access && access.token !== refused) return access.token
      return refresh().catch((error: unknown) => {
        if (error instanceof ApiProblem && error.problem.status === 401) return null
        throw error
      })
    },
    noticeStoreChange() {
      const there = store.read() !== null
      if (there === (state.kind === 'signed-in')) return
      access = null
      setState(there ? { kind: 'signed-in' } : { kind: 'signed-out', problem: null })
    },
  }
}
