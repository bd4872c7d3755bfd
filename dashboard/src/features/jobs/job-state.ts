// How the states of jobs and steps are shown: word, tone and icon, the same everywhere.

import {
  isJobEnded,
  type JobResource,
  type JobState,
  type JobSummary,
  type StageName,
  type StepResource,
  type StepState,
} from '@millrace/contract'
import type { Tone } from '../../ui/badge.tsx'
import type { IconName } from '../../ui/icon.tsx'

interface Look {
  label: string
  tone: Tone
  icon?: IconName
}

export const jobLooks: Record<JobState, Look> = {
  queued: { label: 'Queued', tone: 'neutral', icon: 'clock' },
  running: { label: 'Running', tone: 'active' },
  paused: { label: 'Paused', tone: 'neutral', icon: 'pause' },
  completed: { label: 'Completed', tone: 'good', icon: 'check' },
  completed_with_errors: { label: 'With errors', tone: 'warn', icon: 'warning' },
  failed: { label: 'Failed', tone: 'bad', icon: 'cross' },
  cancelling: { label: 'Cancelling', tone: 'active' },
  cancelled: { label: 'Cancelled', tone: 'neutral', icon: 'minus' },
}

export const stepLooks: Record<StepState, Look & { icon: IconName }> = {
  waiting: { label: 'Waiting', tone: 'neutral', icon: 'clock' },
  running: { label: 'Running', tone: 'active', icon: 'clock' },
  succeeded: { label: 'Succeeded', tone: 'good', icon: 'check' },
  failed: { label: 'Failed', tone: 'bad', icon: 'cross' },
  skipped: { label: 'Skipped', tone: 'neutral', icon: 'minus' },
  cancelled: { label: 'Cancelled', tone: 'neutral', icon: 'minus' },
}

export const stageLabels: Record<StageName, string> = {
  collect: 'Collect',
  validate: 'Validate',
  transform: 'Transform',
  analyze: 'Analyze',
  index: 'Index',
  archive: 'Archive',
}

export const isRetryable = (job: JobSummary): boolean => isJobEnded(job.status) && job.status !== 'completed'
export const isCancellable = (job: JobSummary): boolean => !isJobEnded(job.status) && job.status !== 'cancelling'

/** The step to blame for a failed job: the first that failed in the order of the pipeline. */
export const failedStepOf = (job: JobResource): StepResource | undefined =>
  job.steps.find((step) => step.state === 'failed')

/** What a job is doing or did, in half a sentence. */
export function activityOf(job: JobResource): string {
  const running = job.steps.filter((step) => step.state === 'running')
  const first = running[0]
  if (first && !isJobEnded(job.status)) {
    const tasks = first.tasks_total > 1 ? ` ${first.tasks_done} of ${first.tasks_total}` : ''
    return `${first.name}${tasks}${running.length > 1 ? ` and ${running.length - 1} more` : ''}`
  }
  const failed = failedStepOf(job)
  if (failed && job.status !== 'completed') return `${failed.name} failed`
  const doneCount = job.steps.filter((step) => step.state === 'succeeded').length
  return `${doneCount} of ${job.steps.length} steps`
}
