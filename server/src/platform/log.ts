// One line per event, as JSON or, at a terminal, to be read: a stable event name, then ids and durations as fields. No ids
// inside message text, no file names, tokens or contents anywhere.

import { writeSync } from 'node:fs'
import { isatty } from 'node:tty'
import { pino } from 'pino'

export type LogFields = Record<string, unknown>

export interface Log {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
  /** A log whose every line carries these fields. */
  with(fields: LogFields): Log
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Writes to standard error, so that standard output stays for what a person or program asked for. */
export function createLog(level: LogLevel, base: LogFields = {}): Log {
  const logger = pino(
    {
      level,
      base,
      errorKey: 'error',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    isatty(2)
      ? { write: (line: string) => void writeSync(2, toPlainLine(line)) }
      : pino.destination({ fd: 2, sync: true }),
  )
  const wrap = (target: typeof logger): Log => ({
    debug: (event, fields) => target.debug({ event, ...fields }),
    info: (event, fields) => target.info({ event, ...fields }),
    warn: (event, fields) => target.warn({ event, ...fields }),
    error: (event, fields) => target.error({ event, ...fields }),
    with: (fields) => wrap(target.child(fields)),
  })
  return wrap(logger)
}

/** From `{"level":"info","time":"…T18:07:43.118Z","role":"all","event":"leader.taken","epoch":1}` to `18:07:43 info  leader.taken epoch=1`. */
export function toPlainLine(json: string): string {
  const { level, time, event, role: _, ...fields } = JSON.parse(json) as Record<string, unknown>
  const told = Object.entries(fields).map(([name, value]) => ` ${name}=${toWord(value)}`)
  return `${String(time).slice(11, 19)} ${String(level).padEnd(5)} ${String(event)}${told.join('')}\n`
}

function toWord(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return /^[^\s"]+$/.test(text) ? text : JSON.stringify(value)
}

export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLog,
}
