// What may leave: only what all checks have cleared. Every way out asks here, and nowhere else is it decided.

import type { FileState, ProblemCode } from '@millrace/contract'
import { Problem } from '../platform/problem.ts'

/** What the checks of a file have said; its trash is another question. */
export type ValidationState = Exclude<FileState, 'deleted'>

const refusals: Record<Exclude<ValidationState, 'available'>, ProblemCode> = {
  quarantined: 'file_quarantined',
  infected: 'file_infected',
  rejected: 'file_rejected',
  unscannable: 'file_unscannable',
}

/** The problem of a file that may not leave, or nothing. */
export const refusalCodeOf = (state: ValidationState): ProblemCode | undefined =>
  state === 'available' ? undefined : refusals[state]

/** Throws Problem file_quarantined, file_infected, file_rejected or file_unscannable for a file that may not leave. */
export function requireCleared(state: ValidationState): void {
  if (state !== 'available') throw new Problem(refusals[state])
}
