// What is going on, while it goes on: on a terminal a few lines that change, else a line for each thing that happened.

import type { JobResource, StepResource } from '@millrace/contract'
import type { Console } from './console.ts'
import { isDone, type FileResult } from './file-result.ts'
import { formatBytes, formatCount, formatSeconds, padEnd, padStart, printable, shorten } from './text.ts'

export interface Progress {
  sending(label: string, sentBytes: number, sizeBytes: number): void
  /** So much of it was there before this command. */
  resumed(label: string, sentBytes: number, sizeBytes: number): void
  accepted(label: string, sizeBytes: number, jobId: string): void
  /** The file is through, or refused, and nothing more is awaited of it. */
  sent(label: string): void
  job(label: string, before: JobResource | undefined, job: JobResource): void
  downloading(label: string, outputsCount: number): void
  ended(result: FileResult): void
  /** Takes the status lines away. */
  close(): void
}

export interface ProgressOptions {
  console: Console
  now: () => number
  /** Files and bytes that are to be sent; more files come out of archives. */
  total: { filesCount: number; sizeBytes: number }
}

const redrawEveryMs = 120
const labelColumns = 32
const barColumns = 20
/** Without a terminal, of files from this size on every tenth is told. */
const tenthsFromBytes = 100_000_000
const tenthOf = (bytes: number, sizeBytes: number): number => Math.floor((bytes * 10) / sizeBytes)
const spinner = Array.from('⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏')

type Row = { kind: 'sending'; sentBytes: number; sizeBytes: number } | { kind: 'working'; text: string; share: number }

export function createProgress({ console, now, total }: ProgressOptions): Progress {
  const rows = new Map<string, Row>()
  const startedAtMs = now()
  let sentBytes = 0
  let resumedBytes = 0
  let endedCount = 0
  let failedCount = 0
  let turn = 0
  const timer = console.isLive ? setInterval(redraw, redrawEveryMs) : undefined

  function redraw(): void {
    turn++
    const active = [...rows].slice(0, console.statusLinesMax)
    const hiddenCount = rows.size - active.length
    const lines = active.map(([label, row]) => rowLine(label, row))
    if (hiddenCount > 0) lines.push(`  and ${formatCount(hiddenCount, 'more file')}`)
    lines.push(totalLine())
    console.setStatus(lines)
  }

  function rowLine(label: string, row: Row): string {
    const name = padEnd(shorten(printable(label), labelColumns), labelColumns)
    const share = row.kind === 'sending' ? row.sentBytes / Math.max(row.sizeBytes, 1) : row.share
    const text =
      row.kind === 'sending' ? `sending ${formatBytes(row.sentBytes)} of ${formatBytes(row.sizeBytes)}` : row.text
    return `${spinner[turn % spinner.length]} ${name} ${bar(share)} ${padStart(`${Math.floor(share * 100)} %`, 5)}  ${text}`
  }

  function totalLine(): string {
    const seconds = (now() - startedAtMs) / 1_000
    const parts = [
      `${endedCount} of ${formatCount(endedCount + Math.max(rows.size, total.filesCount - endedCount), 'file')} ended`,
    ]
    if (failedCount > 0) parts.push(`${failedCount} failed`)
    if (total.sizeBytes > 0) {
      const pace = sentBytes < total.sizeBytes ? paceText((sentBytes - resumedBytes) / seconds) : ''
      parts.push(`${formatBytes(sentBytes)} of ${formatBytes(total.sizeBytes)} sent${pace}`)
    }
    return `  ${parts.join(', ')}`
  }

  /** Over half a second or more: before, it is chance. */
  function paceText(bytesPerSecond: number): string {
    if (now() - startedAtMs < 500 || bytesPerSecond < 1) return ''
    const leftMs = ((total.sizeBytes - sentBytes) / bytesPerSecond) * 1_000
    return `, ${formatBytes(bytesPerSecond)}/s, ${formatSeconds(leftMs)} s left`
  }

  function tellSteps(label: string, before: JobResource | undefined, job: JobResource): void {
    for (const step of job.steps) {
      const earlier = before?.steps.find(({ name }) => name === step.name)
      if (step.state !== earlier?.state && isStepEnded(step)) console.note(`${printable(label)}: ${stepText(step)}`)
    }
  }

  return {
    sending(label, bytes, sizeBytes) {
      const row = rows.get(label)
      const beforeBytes = row?.kind === 'sending' ? row.sentBytes : 0
      sentBytes += bytes - beforeBytes
      rows.set(label, { kind: 'sending', sentBytes: bytes, sizeBytes })
      if (console.isLive || sizeBytes < tenthsFromBytes) return
      if (tenthOf(bytes, sizeBytes) > tenthOf(beforeBytes, sizeBytes))
        console.note(`${printable(label)}: ${formatBytes(bytes)} of ${formatBytes(sizeBytes)} sent`)
    },
    resumed(label, bytes, sizeBytes) {
      sentBytes += bytes
      resumedBytes += bytes
      rows.set(label, { kind: 'sending', sentBytes: bytes, sizeBytes })
      console.note(`${printable(label)}: ${formatBytes(bytes)} of ${formatBytes(sizeBytes)} are there already`)
    },
    accepted(label, sizeBytes, jobId) {
      rows.set(label, { kind: 'working', text: 'queued', share: 0 })
      if (!console.isLive) console.note(`${printable(label)}: sent ${formatBytes(sizeBytes)}, ${jobId}`)
    },
    sent(label) {
      rows.delete(label)
      endedCount++
    },
    job(label, before, job) {
      rows.set(label, { kind: 'working', text: workText(job), share: job.progress / 100 })
      if (!console.isLive) tellSteps(label, before, job)
    },
    downloading(label, outputsCount) {
      rows.set(label, { kind: 'working', text: `downloading ${formatCount(outputsCount, 'output')}`, share: 1 })
    },
    ended(result) {
      rows.delete(result.label)
      endedCount++
      if (!isDone(result)) failedCount++
      console.note(endLine(console, result))
    },
    close() {
      clearInterval(timer)
      console.setStatus([])
    },
  }
}

const isStepEnded = ({ state }: StepResource): boolean => state !== 'waiting' && state !== 'running'

function bar(share: number): string {
  const full = Math.round(Math.min(Math.max(share, 0), 1) * barColumns)
  return '█'.repeat(full) + '░'.repeat(barColumns - full)
}

/** The steps at work, with how many of their tasks are through. */
function workText(job: JobResource): string {
  const running = job.steps.filter(({ state }) => state === 'running')
  if (running.length === 0) return job.status.replaceAll('_', ' ')
  return running.map((step) => printable(step.name) + tasksText(step)).join(', ')
}

const tasksText = ({ tasks_total: total, tasks_done: done }: StepResource): string =>
  total > 1 ? ` ${done}/${total}` : ''

/** thumbnails succeeded in 0.31 s, 3 tasks */
export function stepText(step: StepResource): string {
  const { name, state, started_at: startedAt, finished_at: finishedAt, tasks_total: tasksTotal, problem } = step
  const time =
    startedAt !== null && finishedAt !== null
      ? ` in ${formatSeconds(Date.parse(finishedAt) - Date.parse(startedAt))} s`
      : ''
  const tasks = tasksTotal > 1 ? `, ${formatCount(tasksTotal, 'task')}` : ''
  const why = problem === null ? '' : `: ${printable(problem.title)}`
  return `${printable(name)} ${state}${state === 'skipped' ? '' : time}${tasks}${why}`
}

function endLine(console: Console, result: FileResult): string {
  const { label, status, durationMs, outputs, problem } = result
  const end = `${status.replaceAll('_', ' ')} in ${formatSeconds(durationMs)} s, ${formatCount(outputs.length, 'output')}`
  if (isDone(result)) return `${console.style('green', '✓')} ${printable(label)}: ${end}`
  return `${console.style('red', '✗')} ${printable(label)}: ${end}${problem ? `: ${printable(problem.title)}` : ''}`
}
