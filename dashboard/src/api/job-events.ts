// What an event changes in the jobs that the page already shows. An event is news, the server's answer is the truth:
// a patch here only ever moves forward, and whatever it cannot express asks for the job to be read again.

import {
  isJobEnded,
  jobStates,
  stepStates,
  type EventResource,
  type JobResource,
  type JobState,
  type JobSummary,
  type StepResource,
  type StepState,
} from '@millrace/contract'

/** What a page must read again after an event, as far as it shows it. */
export interface Refetch {
  job: boolean
  lists: boolean
}

/** News of a job that ends or appears changes lists and counts; a step's end may have brought outputs. */
export function refetchAfter(event: EventResource): Refetch {
  switch (event.type) {
    case 'job.progress':
    case 'step.started':
      return { job: false, lists: false }
    case 'step.ended':
      return { job: true, lists: false }
    case 'file.created':
      return { job: false, lists: true }
    default:
      return { job: true, lists: true }
  }
}

/** The job after the event; the same object when the event says nothing new. */
export function applyToJob(job: JobResource, event: EventResource): JobResource {
  const summary = applyToSummary(job, event)
  if (event.type !== 'step.started' && event.type !== 'step.ended') return summary
  if (isJobEnded(job.status)) return job
  const name = event.data.step
  const steps = job.steps.map((step) => (step.name === name ? applyToStep(step, event) : step))
  const changed = steps.some((step, index) => step !== job.steps[index])
  return changed ? { ...summary, steps } : summary
}

/** The same for a job in a list. */
export function applyToSummary<Job extends JobSummary>(job: Job, event: EventResource): Job {
  switch (event.type) {
    case 'job.progress':
    case 'step.started':
    case 'step.ended': {
      // An ended job that is retried comes back by a refetch, not by a stray event of its earlier run.
      if (isJobEnded(job.status)) return job
      const progress = Math.max(job.progress, percentOf(event.data.progress))
      const status = job.status === 'queued' ? 'running' : job.status
      if (progress === job.progress && status === job.status) return job
      return { ...job, progress, status, started_at: job.started_at ?? event.at }
    }
    case 'job.ended': {
      const status = jobStateOf(event.data.status ?? event.data.state)
      if (!status || !isJobEnded(status) || isJobEnded(job.status)) return job
      return { ...job, status, finished_at: job.finished_at ?? event.at }
    }
    default:
      return job
  }
}

function applyToStep(step: StepResource, event: EventResource): StepResource {
  const ended = step.state !== 'waiting' && step.state !== 'running'
  if (ended) return step
  const tasks = {
    tasks_total: countOf(event.data.tasks_total) ?? step.tasks_total,
    tasks_done: Math.max(step.tasks_done, countOf(event.data.tasks_done) ?? 0),
    tasks_failed: Math.max(step.tasks_failed, countOf(event.data.tasks_failed) ?? 0),
  }
  if (event.type === 'step.started') {
    return { ...step, ...tasks, state: 'running', started_at: step.started_at ?? event.at }
  }
  const state = stepStateOf(event.data.state ?? event.data.status)
  if (!state || state === 'waiting' || state === 'running') return step
  return { ...step, ...tasks, state, finished_at: event.at }
}

const percentOf = (value: unknown): number => (typeof value === 'number' ? Math.min(Math.max(value, 0), 100) : 0)
const countOf = (value: unknown): number | undefined => (typeof value === 'number' && value >= 0 ? value : undefined)
const jobStateOf = (value: unknown): JobState | undefined => jobStates.find((state) => state === value)
const stepStateOf = (value: unknown): StepState | undefined => stepStates.find((state) => state === value)
