// One JSON line per event: a stable event name, then ids and durations as fields. No ids inside message text,
// no file names, tokens or contents anywhere.

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
    pino.destination({ fd: 2, sync: true }),
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

export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLog,
}
