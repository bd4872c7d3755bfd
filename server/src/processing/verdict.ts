// What the checks of a job come to for its file. Nothing here waits or asks: the same graph gives the same verdict.

import type { ProblemCode } from '@millrace/contract'
import type { ValidationState } from '../files/clearance.ts'
import type { EngineFile, FileVerdict, StoredProblem } from './engine-store.ts'

type RefusedState = Exclude<ValidationState, 'quarantined' | 'available'>
export type FileRefusal = Extract<FileVerdict, { state: RefusedState }>

/** Which problem of a check means what; any other one has refused the file. */
const refusedStates: Partial<Record<ProblemCode, RefusedState>> = {
  file_infected: 'infected',
  // The check could not be made, or broke down over the file: nobody knows what is in it.
  file_unscannable: 'unscannable',
  processor_unavailable: 'unscannable',
  processor_crashed: 'unscannable',
  worker_lost: 'unscannable',
  time_limit_exceeded: 'unscannable',
  memory_limit_exceeded: 'unscannable',
  output_invalid: 'unscannable',
  storage_unavailable: 'unscannable',
  object_damaged: 'unscannable',
  internal: 'unscannable',
}

const gravity: Record<ValidationState, number> = {
  available: 0,
  quarantined: 0,
  unscannable: 1,
  rejected: 2,
  infected: 3,
}

/** A check has ended without letting the file through; of several refusals, the gravest stands. */
export function graverRefusal(before: FileRefusal | undefined, problem: StoredProblem): FileRefusal {
  const state = refusedStates[problem.code] ?? 'rejected'
  return before !== undefined && gravity[before.state] >= gravity[state] ? before : { state, problem }
}

export interface Checks {
  refusal: FileRefusal | undefined
  /** Whether all steps that decide over the file have ended well; so it is when there are none. */
  isValidated: boolean
  hasChecks: boolean
}

/** The move of the file's state, if there is one. A refusal is taken back by checks that have passed, and nothing else. */
export function verdictOf(
  { refusal, isValidated, hasChecks }: Checks,
  file: Pick<EngineFile, 'state'>,
): FileVerdict | undefined {
  if (refusal !== undefined) return gravity[refusal.state] > gravity[file.state] ? refusal : undefined
  const clears = isValidated && file.state !== 'available' && (hasChecks || file.state === 'quarantined')
  return clears ? { state: 'available', problem: null } : undefined
}
