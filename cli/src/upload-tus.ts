// One large file to the server in as many requests as the line wants: tus 1.0. After a cut it asks how much has arrived
// and goes on from there; so does the next command, which finds the session in the memory of uploads. Every byte is
// hashed once by this process, and the whole is compared with what the server says it received.

import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { ApiProblem, operationPath, operations, type UploadResource, type UploadResult } from '@millrace/contract'
import { Failure, exitCodes } from './failure.ts'
import type { LocalFile } from './local-files.ts'
import { isPassing, withRetries } from './retry.ts'
import type { UploadMemory, UploadNote } from './upload-memory.ts'
import {
  changed,
  openFile,
  readPieces,
  streamed,
  type UploadDependencies,
  type UploadOptions,
  type UploadWatch,
} from './upload-request.ts'

export interface TusUploadDependencies extends UploadDependencies {
  memory: UploadMemory
}

const tus = { 'tus-resumable': '1.0.0' }
/** One request: some proxies hold a whole one back before they pass it on, and all of them limit how long it may be. */
const requestBytesMax = 64 * 1024 * 1024
/** Without progress, of a line that may come back: a few minutes. Any progress begins the count anew. */
const attemptsMax = 30
/** A line on which nothing moves for so long is dead. */
const silenceMaxMs = 90_000
const sealPollMs = 500

/**
 * Uploads the file, going on after cuts, and with what an earlier command has sent of it. Throws ApiProblem, Unreachable,
 * or Failure when the file changes, cannot be read or is being sent by another command; what has arrived stays for a day.
 */
export async function uploadByTus(
  deps: TusUploadDependencies,
  file: LocalFile,
  options: UploadOptions,
  watch: UploadWatch,
): Promise<UploadResult> {
  await using handle = await openFile(file)
  const { size: sizeBytes, mtimeMs: modifiedAtMs } = await handle.stat()
  const note = deps.memory.of({ path: file.path, sizeBytes, modifiedAtMs, options })
  const isChanged = async (): Promise<boolean> => {
    const now = await handle.stat()
    return now.size !== sizeBytes || now.mtimeMs !== modifiedAtMs
  }
  const upload = { ...deps, file, handle, sizeBytes, isChanged, watch, hash: createRunningHash(handle) }
  try {
    const uploadId = (await findBegun(upload, note)) ?? (await begin(upload, options, note))
    await sendAll(upload, uploadId)
    const result = await awaitSeal(upload, uploadId, note)
    await note.forget()
    if (result.sha256 !== (await upload.hash.upTo(sizeBytes))) throw changed(file)
    return result
  } catch (error) {
    const code = error instanceof ApiProblem ? error.problem.code : undefined
    // With what has arrived nobody can go on.
    if (code === 'upload_too_fragmented' || (await isChanged())) await giveUp(upload, note)
    throw code === 'upload_taken_over' ? elsewhere(file) : error
  }
}

/** The server would do the same a day later. */
async function giveUp({ api, signal }: UploadDependencies, note: UploadNote): Promise<void> {
  const uploadId = await note.find()
  await note.forget()
  if (uploadId !== undefined && !signal.aborted)
    await api.call('abortUpload', { params: { upload_id: uploadId } }).catch(() => {})
}

interface Uploading extends UploadDependencies {
  file: LocalFile
  handle: FileHandle
  sizeBytes: number
  isChanged: () => Promise<boolean>
  watch: UploadWatch
  hash: RunningHash
}

/** The session of an earlier command, when it can still become a file. */
async function findBegun({ api, watch, sizeBytes }: Uploading, note: UploadNote): Promise<string | undefined> {
  const uploadId = await note.find()
  if (uploadId === undefined) return undefined
  const session = await api.call('getUpload', { params: { upload_id: uploadId } }).catch((error: unknown) => {
    if (error instanceof ApiProblem && error.problem.status === 404) return undefined
    throw error
  })
  const isOpen = session?.state === 'receiving' || session?.state === 'sealing' || session?.state === 'sealed'
  if (!isOpen || session.size_bytes !== sizeBytes) {
    await note.forget()
    return undefined
  }
  watch.resumed(session.received_bytes)
  return uploadId
}

async function begin(upload: Uploading, options: UploadOptions, note: UploadNote): Promise<string> {
  const { api, signal, randomId, file, sizeBytes } = upload
  const about = {
    filename: path.basename(file.path),
    pipeline: options.pipeline,
    metadata: options.metadata,
    priority: options.priority,
    file_id: options.fileId,
  }
  const headers = {
    ...tus,
    'upload-length': String(sizeBytes),
    'upload-metadata': Object.entries(about)
      .flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${Buffer.from(value).toString('base64')}`]))
      .join(','),
    'idempotency-key': randomId(),
  }
  const { method } = operations.createUpload
  const response = await withRetries(upload, signal, () =>
    api.once.fetchPath(operationPath(operations.createUpload, {}), { method, headers, signal }),
  )
  const uploadId = response.headers.get('location')?.split('/').at(-1) ?? ''
  await note.keep(uploadId)
  return uploadId
}

async function sendAll(upload: Uploading, uploadId: string): Promise<void> {
  for (let sentBytes = 0; sentBytes < upload.sizeBytes;)
    sentBytes = await withRetries(upload, upload.signal, () => advance(upload, uploadId), attemptsMax)
}

/** Answers how much has arrived after one more request. It may be cut: what matters is that it brought something. */
async function advance(upload: Uploading, uploadId: string): Promise<number> {
  const fromBytes = await readOffset(upload, uploadId)
  if (fromBytes === upload.sizeBytes) return fromBytes
  const toBytes = Math.min(fromBytes + requestBytesMax, upload.sizeBytes)
  try {
    await send(upload, uploadId, { start: fromBytes, end: toBytes })
    return toBytes
  } catch (error) {
    if (!isPassing(error)) throw error
    const nowBytes = await readOffset(upload, uploadId)
    if (nowBytes > fromBytes) return nowBytes
    throw error
  }
}

/** HEAD makes the server stop a request that it takes for running, so that the offset holds. */
async function readOffset({ api, signal, watch }: Uploading, uploadId: string): Promise<number> {
  const at = operationPath(operations.getUpload, { params: { upload_id: uploadId } })
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(silenceMaxMs)])
  const response = await api.once.fetchPath(at, { method: 'HEAD', headers: tus, signal: deadline })
  const offsetBytes = Number(response.headers.get('upload-offset'))
  watch.sent(offsetBytes)
  return offsetBytes
}

async function send(upload: Uploading, uploadId: string, range: { start: number; end: number }): Promise<void> {
  const { api, file, handle, sizeBytes, isChanged, hash, watch } = upload
  const silence = new AbortController()
  const timer = setTimeout(
    () => silence.abort(new DOMException('Nothing moves any more.', 'TimeoutError')),
    silenceMaxMs,
  )
  let broken: unknown
  const body = async function* () {
    let at = range.start
    try {
      for await (const piece of readPieces(handle, range)) {
        await hash.add(at, piece)
        at += piece.length
        // The last byte makes the file.
        if (at === sizeBytes && (await isChanged())) throw changed(file)
        yield piece
        watch.sent(at)
        timer.refresh()
      }
      if (at !== range.end) throw changed(file)
    } catch (error) {
      broken = error
      throw error
    }
  }
  const init = {
    method: operations.appendUpload.method,
    headers: {
      ...tus,
      'upload-offset': String(range.start),
      'content-type': 'application/offset+octet-stream',
      'content-length': String(range.end - range.start),
    },
    signal: AbortSignal.any([upload.signal, silence.signal]),
  }
  try {
    const at = operationPath(operations.appendUpload, { params: { upload_id: uploadId } })
    await api.once.fetchPath(at, streamed(init, body()))
  } catch (error) {
    throw broken ?? error
  } finally {
    clearTimeout(timer)
  }
}

/** The last bytes may have arrived while the answer did not; then the file is made without this request. */
async function awaitSeal({ api, sleep, signal }: Uploading, uploadId: string, note: UploadNote): Promise<UploadResult> {
  for (;;) {
    const session = await api.call('getUpload', { params: { upload_id: uploadId }, signal })
    if (session.result !== null) return session.result
    if (session.ended_at !== null) {
      await note.forget()
      throw notSealed(session)
    }
    await sleep(sealPollMs, signal)
  }
}

function notSealed({ state, problem }: UploadResource): Failure {
  const title = `The upload ended as ${state}.`
  const remedy = problem?.remedy ?? 'Send the file again.'
  return new Failure(exitCodes.failed, { title, remedy, ...(problem && { detail: problem.detail }) })
}

function elsewhere(file: LocalFile): Failure {
  const title = 'Another command is sending this file.'
  return new Failure(exitCodes.failed, { title, detail: file.label, remedy: 'Let that one end.' })
}

interface RunningHash {
  /** Takes a piece into account, once, whatever is sent again; what stands before it is read where it was not sent. */
  add(start: number, piece: Uint8Array): Promise<void>
  /** Of all up to there, in hex; ends it. */
  upTo(end: number): Promise<string>
}

function createRunningHash(handle: FileHandle): RunningHash {
  const hash = createHash('sha256')
  let hashedBytes = 0
  async function reach(end: number): Promise<void> {
    for await (const piece of readPieces(handle, { start: hashedBytes, end })) {
      hash.update(piece)
      hashedBytes += piece.length
    }
  }
  return {
    async add(start, piece) {
      await reach(start)
      const end = start + piece.length
      if (end <= hashedBytes) return
      hash.update(piece.subarray(hashedBytes - start))
      hashedBytes = end
    },
    async upTo(end) {
      await reach(end)
      return hash.digest('hex')
    },
  }
}
