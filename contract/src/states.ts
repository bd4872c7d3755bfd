// The states that files, jobs, steps and tasks pass through. The database carries the same words in
// CHECK constraints; the moves between them are drawn in server/src/processing/states.ts.

/**
 * quarantined ──all checks passed──▶ available
 *   │ ├─ a scanner found something ──▶ infected
 *   │ ├─ a check refused it ─────────▶ rejected
 *   └─── a check came to no verdict ─▶ unscannable
 *
 * Bytes, text and findings leave only from available; each new version begins quarantined again. While it is being
 * received there is no file yet. A file in the trash is told as deleted, whatever its checks said.
 */
export const fileStates = ['quarantined', 'available', 'infected', 'rejected', 'unscannable', 'deleted'] as const
export type FileState = (typeof fileStates)[number]

export const jobStates = [
  'queued',
  'running',
  'paused',
  'completed',
  'completed_with_errors',
  'failed',
  'cancelling',
  'cancelled',
] as const
export type JobState = (typeof jobStates)[number]

/** States a job does not leave by itself. */
export const jobEndStates = ['completed', 'completed_with_errors', 'failed', 'cancelled'] as const
export type JobEndState = (typeof jobEndStates)[number]
export const isJobEnded = (state: JobState): state is JobEndState =>
  (jobEndStates as readonly JobState[]).includes(state)

export const taskStates = [
  'blocked',
  'delayed',
  'queued',
  'dispatched',
  'running',
  'succeeded',
  'dead',
  'skipped',
  'cancelled',
] as const
export type TaskState = (typeof taskStates)[number]

export const stepStates = ['waiting', 'running', 'succeeded', 'failed', 'skipped', 'cancelled'] as const
export type StepState = (typeof stepStates)[number]

export const lanes = ['interactive', 'normal', 'bulk'] as const
export type Lane = (typeof lanes)[number]

/** Ways in that take more than one request. */
export const uploadKinds = ['tus', 'parts', 'import'] as const
export type UploadKind = (typeof uploadKinds)[number]

export const uploadStates = ['receiving', 'sealing', 'sealed', 'failed', 'aborted', 'expired'] as const
export type UploadState = (typeof uploadStates)[number]

export const uploadPartStates = ['missing', 'stored'] as const

/** Places that files are taken from again and again. */
export const importSourceKinds = ['s3', 'sftp', 'folder'] as const
export type ImportSourceKind = (typeof importSourceKinds)[number]

export const batchStates = [
  'running',
  'paused',
  'stopping',
  'cancelling',
  'completed',
  'completed_with_errors',
  'stopped',
  'cancelled',
] as const
export type BatchState = (typeof batchStates)[number]

/** States that a batch leaves by a redrive only. */
export const batchEndStates = ['completed', 'completed_with_errors', 'stopped', 'cancelled'] as const
export const isBatchEnded = (state: BatchState): boolean => (batchEndStates as readonly BatchState[]).includes(state)

export const batchItemStates = ['pending', 'running', 'succeeded', 'failed', 'cancelled'] as const
export type BatchItemState = (typeof batchItemStates)[number]

export const manifestFormats = ['csv', 'jsonl'] as const
export type ManifestFormat = (typeof manifestFormats)[number]
export const batchReportFormats = ['csv', 'parquet'] as const
export type BatchReportFormat = (typeof batchReportFormats)[number]

/** What is asked of many at once. */
export const controlKinds = ['replay_dead_letters', 'cancel_jobs'] as const
export const controlStates = ['running', 'completed', 'cancelled'] as const

export const scheduleStates = ['active', 'paused'] as const
export const missedTickPolicies = ['skip', 'once', 'all'] as const
export const tickOutcomes = ['started', 'skipped_overlap', 'skipped_missed', 'failed'] as const

export const roles = ['admin', 'user', 'read-only'] as const
/** What a principal may do inside one tenant. */
export type Role = (typeof roles)[number]
