// The queue of uploads of this page: a bounded number at a time, each with its progress, repeated when it makes sense,
// cancelled when asked. Owns the state of each upload and nothing of how it is sent or shown.
//
//   waiting ──slot free──▶ sending ──answer──▶ accepted
//      ▲                      ├─ may succeed later, tries left ─▶ waiting (not before its time)
//      └──── retry ◀── failed ◀─ refused, tries used
//                      any live state ── cancel ─▶ cancelled

import { ApiProblem, problems, type ProblemDocument, type UploadResult } from '@millrace/contract'
import type { UploadRequest } from '../../api/upload.ts'

export interface UploadItem {
  readonly id: number
  readonly file: File
  /** Folders and name as they were dropped, e.g. trip/day 1/harbour.jpg. */
  readonly path: string
  readonly state: 'waiting' | 'sending' | 'accepted' | 'failed' | 'cancelled'
  readonly sentBytes: number
  /** Tries begun so far. */
  readonly triesCount: number
  /** Set while the item waits for another try. */
  readonly retryAtMs: number | null
  /** Why it failed. */
  readonly problem: ProblemDocument | null
  /** Set once it was accepted. */
  readonly result: UploadResult | null
}

export interface UploadTotals {
  itemsCount: number
  liveCount: number
  acceptedCount: number
  failedCount: number
  cancelledCount: number
  sizeBytes: number
  sentBytes: number
}

export interface UploadSnapshot {
  readonly items: readonly UploadItem[]
  readonly totals: UploadTotals
}

export interface UploadQueueDependencies {
  send: (request: UploadRequest) => Promise<UploadResult>
  nowMs: () => number
  /** Calls back after the delay. */
  later: (delayMs: number, work: () => void) => void
  newKey: () => string
  random: () => number
}

export interface UploadQueue {
  getSnapshot: () => UploadSnapshot
  subscribe: (listener: () => void) => () => void
  /** Called with the answer for each accepted upload. */
  onAccepted: (listener: (result: UploadResult) => void) => () => void
  add: (files: { file: File; path: string }[], options: { pipeline: string | null }) => void
  cancel: (id: number) => void
  cancelAll: () => void
  retry: (id: number) => void
  retryFailed: () => void
  /** Forgets everything that has ended. */
  clearEnded: () => void
}

/** Browsers give an HTTP/1.1 server six connections: one carries the events, two are left for the pages. */
export const sendingCountMax = 3
const triesCountMax = 4
const retryDelayFirstMs = 1_000
/** Progress is told to the page no more often than this. */
const progressEveryMs = 100

interface Plan {
  pipeline: string | null
  idempotencyKey: string
  aborter: AbortController
}

export function createUploadQueue(dependencies: UploadQueueDependencies): UploadQueue {
  const { send, nowMs, later, newKey, random } = dependencies
  let items: UploadItem[] = []
  let snapshot: UploadSnapshot = { items, totals: totalsOf(items) }
  let nextId = 1
  let progressTold = true
  const plans = new Map<number, Plan>()
  const listeners = new Set<() => void>()
  const acceptedListeners = new Set<(result: UploadResult) => void>()

  function tell(): void {
    progressTold = true
    snapshot = { items: [...items], totals: totalsOf(items) }
    for (const listener of listeners) listener()
  }

  function tellProgress(): void {
    if (!progressTold) return
    progressTold = false
    later(progressEveryMs, () => {
      if (!progressTold) tell()
    })
  }

  function change(id: number, patch: Partial<UploadItem>): void {
    items = items.map((item) => (item.id === id ? { ...item, ...patch } : item))
  }

  const find = (id: number): UploadItem | undefined => items.find((item) => item.id === id)

  function pump(): void {
    let sendingCount = items.filter((item) => item.state === 'sending').length
    for (const item of items) {
      if (sendingCount >= sendingCountMax) break
      if (item.state !== 'waiting' || (item.retryAtMs !== null && item.retryAtMs > nowMs())) continue
      sendingCount += 1
      void sendItem(item)
    }
    tell()
  }

  async function sendItem(item: UploadItem): Promise<void> {
    const plan = plans.get(item.id)
    if (!plan) return
    change(item.id, { state: 'sending', sentBytes: 0, retryAtMs: null, triesCount: item.triesCount + 1 })
    try {
      const result = await send({
        file: item.file,
        ...requestNames(item.path),
        ...(plan.pipeline !== null && { pipeline: plan.pipeline }),
        idempotencyKey: plan.idempotencyKey,
        signal: plan.aborter.signal,
        onProgress(sentBytes) {
          change(item.id, { sentBytes })
          tellProgress()
        },
      })
      plans.delete(item.id)
      change(item.id, { state: 'accepted', sentBytes: item.file.size, result })
      for (const listener of acceptedListeners) listener(result)
    } catch (error) {
      settleFailure(item.id, error)
    }
    pump()
  }

  function settleFailure(id: number, error: unknown): void {
    const item = find(id)
    if (!item || item.state !== 'sending') return
    if (isRetryable(error) && item.triesCount < triesCountMax) {
      const fullMs = retryDelayFirstMs * 2 ** (item.triesCount - 1)
      const delayMs = Math.round(fullMs / 2 + (fullMs / 2) * random())
      change(id, { state: 'waiting', sentBytes: 0, retryAtMs: nowMs() + delayMs })
      later(delayMs + 1, pump)
    } else change(id, { state: 'failed', sentBytes: 0, problem: problemOfFailure(error) })
  }

  function cancelItem(item: UploadItem): void {
    if (item.state !== 'waiting' && item.state !== 'sending') return
    change(item.id, { state: 'cancelled', sentBytes: 0, retryAtMs: null })
    plans.get(item.id)?.aborter.abort()
    plans.delete(item.id)
  }

  function retryItem(item: UploadItem): void {
    if (item.state !== 'failed') return
    const plan = plans.get(item.id)
    // A new key: the earlier request was answered, and its answer must not be repeated.
    plans.set(item.id, {
      pipeline: plan?.pipeline ?? null,
      idempotencyKey: newKey(),
      aborter: new AbortController(),
    })
    change(item.id, { state: 'waiting', problem: null, triesCount: 0 })
  }

  return {
    getSnapshot: () => snapshot,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    onAccepted(listener) {
      acceptedListeners.add(listener)
      return () => acceptedListeners.delete(listener)
    },
    add(files, { pipeline }) {
      const added = files.map(({ file, path }): UploadItem => {
        const id = nextId++
        plans.set(id, { pipeline, idempotencyKey: newKey(), aborter: new AbortController() })
        return {
          id,
          file,
          path,
          state: 'waiting',
          sentBytes: 0,
          triesCount: 0,
          retryAtMs: null,
          problem: null,
          result: null,
        }
      })
      items = [...items, ...added]
      pump()
    },
    cancel(id) {
      const item = find(id)
      if (item) cancelItem(item)
      pump()
    },
    cancelAll() {
      for (const item of items) cancelItem(item)
      tell()
    },
    retry(id) {
      const item = find(id)
      if (item) retryItem(item)
      pump()
    },
    retryFailed() {
      for (const item of items) retryItem(item)
      pump()
    },
    clearEnded() {
      items = items.filter((item) => item.state === 'waiting' || item.state === 'sending')
      for (const id of plans.keys()) if (!find(id)) plans.delete(id)
      tell()
    },
  }
}

/** The last part of a path is the name; folders, where there are any, are kept as metadata and can be searched. */
export function requestNames(path: string): { name: string; metadata?: { path: string } } {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return name === path ? { name } : { name, metadata: { path } }
}

function isRetryable(error: unknown): boolean {
  if (!(error instanceof ApiProblem)) return true
  const kind = Object.hasOwn(problems, error.problem.code) ? problems[error.problem.code] : undefined
  return kind ? kind.retryable && kind.status !== 507 : error.problem.status >= 500
}

function problemOfFailure(error: unknown): ProblemDocument {
  if (error instanceof ApiProblem) return error.problem
  return {
    type: 'about:blank',
    title: 'The upload did not get through.',
    status: 0,
    code: 'upload_incomplete',
    detail: error instanceof Error ? error.message : String(error),
    remedy: 'Check the connection, and that the file can still be read, then try again.',
  }
}

function totalsOf(items: readonly UploadItem[]): UploadTotals {
  const totals: UploadTotals = {
    itemsCount: items.length,
    liveCount: 0,
    acceptedCount: 0,
    failedCount: 0,
    cancelledCount: 0,
    sizeBytes: 0,
    sentBytes: 0,
  }
  for (const item of items) {
    if (item.state === 'accepted') totals.acceptedCount += 1
    else if (item.state === 'failed') totals.failedCount += 1
    else if (item.state === 'cancelled') totals.cancelledCount += 1
    else totals.liveCount += 1
    if (item.state === 'failed' || item.state === 'cancelled') continue
    totals.sizeBytes += item.file.size
    totals.sentBytes += item.sentBytes
  }
  return totals
}
