// The only door to the server: everything the pages know comes through here. Owns the session, the typed client, the
// stream of events, uploads and downloads; must not know a page, and has no opinion on how anything looks.
// Keeps one invariant: credentials go to this page's own origin and nowhere else.

import { ApiProblem, createClient, type Client, type UploadResult } from '@millrace/contract'
import { createContext, use } from 'react'
import { createEventStream, type EventStream } from './api/event-stream.ts'
import { createSecretStore, secretStoreKey } from './api/secret-store.ts'
import { createSession, type Session } from './api/session.ts'
import { readProblem, sendUpload, type UploadRequest } from './api/upload.ts'

export interface Api extends Client {
  readonly session: Session
  readonly events: EventStream
  /** Uploads one file; throws ApiProblem, ConnectionLost, or the signal's reason. */
  upload(request: UploadRequest): Promise<UploadResult>
  /** Fetches a download_url of this server; throws ApiProblem, also for an address elsewhere. */
  download(url: string, signal?: AbortSignal): Promise<Response>
}

export const ApiContext = createContext<Api | null>(null)

/** The door, for components below ApiContext. */
export function useApi(): Api {
  const api = use(ApiContext)
  if (!api) throw new Error('useApi stands outside ApiContext.')
  return api
}

/** Opens the door of the server that served this page, with the session that the browser has kept. */
export function createApi(browser: Window): Api {
  const session = createBrowserSession(browser)
  const renewingFetch = createRenewingFetch(session)
  const client = createClient({
    baseUrl: browser.location.origin,
    credentials: () => session.credentials(),
    fetch: renewingFetch,
  })

  const events = createEventStream({
    open: (lastEventId, signal) => {
      const headers: Record<string, string> = { accept: 'text/event-stream' }
      if (lastEventId !== null) headers['last-event-id'] = lastEventId
      return client.stream('tenantEvents', { headers, signal })
    },
    delay,
    random: () => Math.random(),
  })

  return {
    ...client,
    session,
    events,
    async upload(request) {
      const token = await session.credentials()
      try {
        return await sendUpload(request, token)
      } catch (error) {
        if (!(error instanceof ApiProblem) || error.problem.status !== 401) throw error
        const renewed = await session.renew(token, error)
        if (renewed === null) throw error
        return sendUpload(request, renewed)
      }
    },
    download: (url, signal) => client.fetchPath(ownPath(url, browser.location.origin), signal ? { signal } : {}),
  }
}

/** Path and query of a URL on our own origin; an address elsewhere never gets the credentials. */
export function ownPath(url: string, origin: string): string {
  const parsed = new URL(url, origin)
  if (parsed.origin !== origin) {
    throw new ApiProblem({
      type: 'about:blank',
      title: 'The download lies on another server.',
      status: 400,
      code: 'invalid_request',
      remedy: 'Ask the operator to let downloads go through this server.',
    })
  }
  return parsed.pathname + parsed.search
}

/** A fetch that answers a 401 by renewing the credentials and trying once more. */
function createRenewingFetch(session: Session): typeof globalThis.fetch {
  return async (input, init) => {
    const response = await fetch(input, init)
    if (response.status !== 401) return response
    const headers = new Headers(init?.headers)
    const refused = (headers.get('authorization') ?? '').replace(/^Bearer /, '')
    const problem = new ApiProblem(readProblem(401, await response.clone().text()))
    const renewed = await session.renew(refused, problem)
    if (renewed === null) return response
    headers.set('authorization', `Bearer ${renewed}`)
    return fetch(input, { ...init, headers })
  }
}

function createBrowserSession(browser: Window): Session {
  const plain = createClient({ baseUrl: '' })
  const session = createSession({
    calls: {
      createSession: (login) => plain.call('createSession', { body: login }),
      refreshSession: (token) => plain.call('refreshSession', { body: { refresh_token: token } }),
      deleteSession: (token) => plain.call('deleteSession', { body: { refresh_token: token } }),
      async checkApiKey(key) {
        await createClient({ baseUrl: '', credentials: key }).call('getPrincipal', {})
      },
    },
    store: createSecretStore({ tab: browser.sessionStorage, computer: browser.localStorage }),
    exclusively: createExclusively(browser.navigator),
    nowMs: () => Date.now(),
  })
  browser.addEventListener('storage', (event) => {
    if (event.key === secretStoreKey || event.key === null) session.noticeStoreChange()
  })
  return session
}

/** One at a time across tabs, by a web lock; plain HTTP from another machine has none, and there one tab is sure. */
function createExclusively(navigator: Navigator): <T>(work: () => Promise<T>) => Promise<T> {
  const locks: LockManager | undefined = navigator.locks
  // The lock's type leaves the promise in the promise that it resolves.
  return async (work) => (locks ? await locks.request('millrace.refresh', work) : work())
}

function delay(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, delayMs)
    signal.addEventListener('abort', stop, { once: true })
  })
}
