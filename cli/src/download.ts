// Bytes from the server to the disk: into a file beside the target, checked against the promised SHA-256 where there is
// one, and only then under its name. Whoever stops it or gets other bytes leaves no half file.

import { createHash } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { Failure, Unreachable, exitCodes } from './failure.ts'
import type { Api } from './api.ts'
import { withRetries, type Patience } from './retry.ts'

export interface DownloadDependencies extends Patience {
  api: Api
  signal: AbortSignal
  randomId: () => string
}

export interface Download {
  /** Asks for the bytes, again on every attempt, e.g. api.once.fetchPath of the download_url of an output. */
  open: () => Promise<Response>
  target: string
  /** Undefined for what is put together on the way, such as a zip; what is cut is told by the connection then. */
  sha256?: string | undefined
}

/** Replaces the target. Throws ApiProblem, Unreachable, and Failure when the bytes or the disk are not right. */
export async function downloadTo(deps: DownloadDependencies, { open: ask, target, sha256 }: Download): Promise<void> {
  const partial = path.join(path.dirname(target), `.${deps.randomId()}.part`)
  try {
    await mkdir(path.dirname(target), { recursive: true })
    const received = await withRetries(deps, deps.signal, () => receive(deps, ask, partial))
    if (sha256 !== undefined && received !== sha256) throw damaged(target)
    await rename(partial, target)
  } catch (error) {
    await rm(partial, { force: true })
    throw isDiskError(error) ? unwritable(target, error) : error
  }
}

/** The SHA-256 of what was written, from the start again on every attempt. */
async function receive({ api, signal }: DownloadDependencies, ask: Download['open'], partial: string): Promise<string> {
  const response = await ask()
  const hash = createHash('sha256')
  await using file = await open(partial, 'w')
  const reader = response.body?.getReader()
  for (;;) {
    const piece = await reader?.read().catch((error: unknown) => {
      throw signal.aborted ? signal.reason : new Unreachable(api.url, error)
    })
    if (piece?.value === undefined) break
    hash.update(piece.value)
    await file.writeFile(piece.value)
  }
  return hash.digest('hex')
}

const isDiskError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'syscall' in error && 'code' in error

function damaged(target: string): Failure {
  return new Failure(exitCodes.failed, {
    title: 'The downloaded bytes do not have the checksum that the server named.',
    detail: target,
    remedy: 'Download it again; if it happens again, something on the way changes it.',
  })
}

function unwritable(target: string, error: NodeJS.ErrnoException): Failure {
  const told = {
    title: `${target} cannot be written (${error.code}).`,
    remedy: 'Free room, or name another folder with --out.',
  }
  return new Failure(exitCodes.failed, told, error)
}
