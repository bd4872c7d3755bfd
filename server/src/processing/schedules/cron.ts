// Cron expressions in time zones. croner is small, has no dependencies, keeps its own rules of daylight saving, and answers
// questions about a pattern without starting a timer, which would fire in every process.

import { Cron } from 'croner'
import { Problem } from '../../platform/problem.ts'

export interface CronTimes {
  /** The first time after this one; nothing when there is none. */
  next(after: Date): Date | undefined
  /** The last time before this one. */
  previous(before: Date): Date | undefined
}

const nicknames = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@hourly']

/** Throws Problem('cron_invalid'). */
export function parseCron(cron: string, timeZone: string): CronTimes {
  const text = cron.trim()
  const isFive = text.split(/\s+/).length === 5 || nicknames.includes(text.toLowerCase())
  if (!isFive) throw invalid(`"${text.slice(0, 100)}" does not have five fields.`)
  try {
    Intl.DateTimeFormat('en', { timeZone })
  } catch {
    throw invalid(`"${timeZone.slice(0, 100)}" is not a time zone.`)
  }
  try {
    const parsed = new Cron(text, { timezone: timeZone })
    parsed.nextRun()
    return {
      next: (after) => parsed.nextRun(after) ?? undefined,
      previous: (before) => parsed.previousRuns(1, before)[0],
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^CronPattern: /, '').slice(0, 200) : ''
    throw invalid(`"${text.slice(0, 100)}" cannot be read: ${reason}.`)
  }
}

const invalid = (detail: string): Problem => new Problem('cron_invalid', { detail })
