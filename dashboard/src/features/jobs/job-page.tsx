import { isJobEnded, type JobResource } from '@millrace/contract'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { Link, useParams } from 'react-router'
import { useApi } from '../../api.ts'
import { usePollIntervalMs } from '../../api/live.ts'
import { jobQuery } from '../../api/queries.ts'
import { useAnnounce } from '../../ui/announcer.tsx'
import { fileKindOfName } from '../../ui/file-kind.ts'
import { formatBytes, formatCount, formatDateTime, formatDuration } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { problemOf } from '../../ui/problem-of.ts'
import { ProblemNotice } from '../../ui/problem-notice.tsx'
import { ProgressBar } from '../../ui/progress-bar.tsx'
import { Skeleton } from '../../ui/skeleton.tsx'
import { useJobAction } from './job-actions.ts'
import { JobBadge } from './job-badge.tsx'
import { JobList } from './job-list.tsx'
import { failedStepOf, isCancellable, isRetryable, jobLooks } from './job-state.ts'
import { Outputs, outputsTitle } from './outputs.tsx'
import { StepList } from './step-list.tsx'
import { StepMap } from './step-map.tsx'

/** One job: how far it is, what came out, what each step did, and why it failed where it did. */
export function JobPage() {
  const { jobId = '' } = useParams()
  const pollMs = usePollIntervalMs()
  const { data: job, error } = useQuery({
    ...jobQuery(useApi(), jobId),
    refetchInterval: ({ state }) => (state.data && isJobEnded(state.data.status) ? false : pollMs),
  })
  if (error && !job) {
    return (
      <>
        <title>Job · Millrace</title>
        <h1 className="visually-hidden">Job</h1>
        <ProblemNotice urgent problem={problemOf(error)} />
      </>
    )
  }
  if (!job) return <Skeleton rowsCount={6} label="Loading the job" />
  return (
    <>
      <title>{`${job.file_name} · Millrace`}</title>
      <JobHead job={job} />
      <FailureNotice job={job} />
      <section className="section">
        <h2>{outputsTitle(job)}</h2>
        {job.outputs.length > 0 ? <Outputs job={job} /> : <p className="muted">{noOutputsText(job)}</p>}
      </section>
      <section className="section">
        <h2>Steps</h2>
        <StepMap steps={job.steps} />
        <StepList job={job} />
      </section>
      <Members job={job} />
    </>
  )
}

function JobHead({ job }: { job: JobResource }) {
  const action = useJobAction(job.job_id)
  useEndAnnouncement(job)
  const { tone } = jobLooks[job.status]
  return (
    <>
      <div className="page-head">
        <div className="page-title">
          <Icon name={fileKindOfName(job.file_name)} className="kind" />
          <h1>{job.file_name}</h1>
          <JobBadge status={job.status} />
        </div>
        <div className="page-actions">
          <Link className="button" to={`/files/${job.file_id}`}>
            File and metadata
          </Link>
          {isRetryable(job) && (
            <button
              type="button"
              className="button primary"
              disabled={action.isPending}
              onClick={() => action.mutate({ kind: 'retry' })}
            >
              <Icon name="retry" />
              Retry
            </button>
          )}
          {isCancellable(job) && (
            <button
              type="button"
              className="button"
              disabled={action.isPending}
              onClick={() => action.mutate({ kind: 'cancel' })}
            >
              <Icon name="close" />
              Cancel
            </button>
          )}
        </div>
      </div>
      {action.error && <ProblemNotice urgent problem={problemOf(action.error)} />}
      <div className="job-progress">
        <ProgressBar percent={job.progress} label={`Progress of ${job.file_name}`} tone={tone} />
        <span className="figures">{Math.floor(job.progress)} %</span>
      </div>
      <JobFacts job={job} />
    </>
  )
}

function JobFacts({ job }: { job: JobResource }) {
  const { processing_time: seconds, records_processed: records, file_size_mb: sizeMb } = job.metadata
  const facts: [string, React.ReactNode][] = [
    ['Pipeline', <Link key="pipeline" to="/pipelines">{`${job.pipeline}, version ${job.pipeline_version}`}</Link>],
    ['Size', formatBytes(sizeMb * 1_000_000)],
    ['Processing', seconds === null ? '–' : formatDuration(seconds * 1_000)],
    ['Records', records === null ? '–' : records.toLocaleString('en')],
    ['Started', formatDateTime(job.started_at ?? job.created_at)],
  ]
  if (!isJobEnded(job.status) && job.estimated_completion) {
    facts.push(['Expected', formatDateTime(job.estimated_completion)])
  } else if (job.finished_at) facts.push(['Ended', formatDateTime(job.finished_at)])
  if (job.parent_job_id)
    facts.push([
      'Came out of',
      <Link key="parent" to={`/jobs/${job.parent_job_id}`}>
        its archive
      </Link>,
    ])
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

function FailureNotice({ job }: { job: JobResource }) {
  const step = failedStepOf(job)
  const problem = job.problem ?? (isJobEnded(job.status) ? step?.problem : null)
  if (!problem) return null
  return (
    <ProblemNotice
      problem={problem}
      facts={
        step && (
          <>
            <span>
              step <a href={`#step-${step.name}`}>{step.name}</a>
            </span>
            <span>{formatCount(step.attempts, 'attempt')}</span>
          </>
        )
      }
    />
  )
}

/** The files that came out of an archive, each with a job of its own. */
function Members({ job }: { job: JobResource }) {
  const unpacks = job.steps.some((step) => step.processor.startsWith('archive.extract'))
  if (!unpacks) return null
  return (
    <section className="section">
      <h2>Files inside</h2>
      <JobList filter={{ parentJobId: job.job_id }} />
    </section>
  )
}

function noOutputsText(job: JobResource): string {
  if (!isJobEnded(job.status)) return 'They appear here as the steps make them.'
  return job.status === 'completed' ? 'This pipeline makes no files of its own.' : 'The job ended before it made any.'
}

/** Says once how the job ended, when it ends while one is looking. */
function useEndAnnouncement(job: JobResource): void {
  const announce = useAnnounce()
  const wasLive = useRef(false)
  useEffect(() => {
    const ended = isJobEnded(job.status)
    if (ended && wasLive.current) announce(`${job.file_name}: ${jobLooks[job.status].label}`)
    wasLive.current = !ended
  }, [announce, job.status, job.file_name])
}
