// Cron expressions in time zones. croner is small, has no dependencies, and answers questions about a pattern without starting
// a timer, which would fire in every process. Where clocks are put forward, it fires what does not exist that night an hour
// later; where they are put back, it fires what exists twice once. What is meant every so many minutes of every hour is
// therefore asked for by the present offset of the zone, or it would rest for an hour.

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
  const isOfEveryHour = /^\S+\s+\*\s+\*\s+\*\s+\*$/.test(text) || text.toLowerCase() === '@hourly'
  const inZone = read(text, { timezone: timeZone })
  const at = (time: Date): Cron => (isOfEveryHour ? read(text, { utcOffset: offsetMinutes(time, timeZone) }) : inZone)
  return {
    next: (after) => beyond(after, stepMs, (from) => at(from).nextRun(from) ?? undefined),
    previous: (before) => beyond(before, -stepMs, (from) => at(from).previousRuns(1, from)[0]),
  }
}

function read(text: string, zone: { timezone: string } | { utcOffset: number }): Cron {
  try {
    return new Cron(text, zone)
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^CronPattern: /, '').slice(0, 200) : ''
    throw invalid(`"${text.slice(0, 100)}" cannot be read: ${reason.replace(/\.+$/, '')}.`)
  }
}

const stepMs = 5 * 60_000
const stepsMax = 36 // Clocks are put back by two hours at most.

/** In an hour that exists twice, croner answers with the first of it whichever is asked for: it is asked again from later on. */
function beyond(start: Date, by: number, look: (from: Date) => Date | undefined): Date | undefined {
  for (let step = 0; step < stepsMax; step++) {
    const found = lookSafely(look, new Date(start.getTime() + step * by))
    if (found === undefined || (found.getTime() - start.getTime()) * by > 0) return found
  }
  return undefined
}

/** Some patterns without any time drive croner, which calls itself for each month, out of its stack. */
function lookSafely(look: (from: Date) => Date | undefined, from: Date): Date | undefined {
  try {
    return look(from)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** From UTC to the wall clock. */
function offsetMinutes(time: Date, timeZone: string): number {
  const parts = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' }).formatToParts(time)
  const name = parts.find(({ type }) => type === 'timeZoneName')?.value ?? ''
  const [, sign, hours = 0, minutes = 0] = /^GMT([+-])(\d\d):(\d\d)/.exec(name) ?? []
  return (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1)
}

const invalid = (detail: string): Problem => new Problem('cron_invalid', { detail })
