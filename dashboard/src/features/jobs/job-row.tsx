import { isJobEnded, type JobResource, type JobSummary } from '@millrace/contract'
import { useQuery } from '@tanstack/react-query'
import { memo } from 'react'
import { Link } from 'react-router'
import { useApi } from '../../api.ts'
import { usePollIntervalMs } from '../../api/live.ts'
import { jobQuery } from '../../api/queries.ts'
import { fileKindOfName } from '../../ui/file-kind.ts'
import { durationBetweenMs, formatDuration } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { problemOf } from '../../ui/problem-of.ts'
import { RelativeTime } from '../../ui/relative-time.tsx'
import { useInView } from '../../ui/use-in-view.ts'
import { useJobAction } from './job-actions.ts'
import { JobBadge } from './job-badge.tsx'
import { activityOf, isCancellable, isRetryable } from './job-state.ts'
import { isThumbnailable, Thumbnail } from './output-content.tsx'
import { StepStrip } from './step-strip.tsx'

/** One job in a list. Its steps are read once the row is near the screen, so that a long list costs no more. */
export const JobRow = memo(function JobRow({ job }: { job: JobSummary }) {
  const [row, seen] = useInView<HTMLLIElement>()
  const pollMs = usePollIntervalMs()
  const detail = useQuery({
    ...jobQuery(useApi(), job.job_id),
    enabled: seen,
    staleTime: isJobEnded(job.status) ? Infinity : 0,
    refetchInterval: ({ state }) => (state.data && isJobEnded(state.data.status) ? false : pollMs),
  }).data
  // Whichever of the two the news reached first.
  const shown = detail && isJobEnded(detail.status) ? detail : job
  const thumbnail = detail && smallestPicture(detail)

  return (
    <li ref={row} className="job-row">
      <span className="job-icon">
        {thumbnail ? <Thumbnail output={thumbnail} alt="" /> : <Icon name={fileKindOfName(job.file_name)} />}
      </span>
      <span className="job-name">
        <Link to={`/jobs/${job.job_id}`} className="name">
          {job.file_name}
        </Link>
        <span className="muted sub">
          {job.pipeline}
          {job.parent_job_id && ' · from an archive'}
          {detail ? ` · ${activityOf(detail)}` : ''}
        </span>
        {shown.problem && <span className="job-reason">{reasonOf(shown.problem)}</span>}
      </span>
      <span className="job-steps">{detail ? <StepStrip steps={detail.steps} /> : <span className="strip" />}</span>
      <span className="job-status">
        <JobBadge status={shown.status} />
      </span>
      <span className="job-time muted figures">
        <JobTime job={shown} />
      </span>
      <JobRowAction job={shown} />
    </li>
  )
})

/** The title alone says the same for every file: the detail says what is wrong with this one. */
const reasonOf = (problem: { title: string; detail?: string }): string => problem.detail ?? problem.title

function JobTime({ job }: { job: JobSummary }) {
  const durationMs = durationBetweenMs(job.started_at, job.finished_at)
  return (
    <>
      <RelativeTime at={job.created_at} />
      {durationMs !== null && <span>{formatDuration(durationMs)}</span>}
    </>
  )
}

function JobRowAction({ job }: { job: JobSummary }) {
  const action = useJobAction(job.job_id)
  const kind = isRetryable(job) ? 'retry' : isCancellable(job) ? 'cancel' : null
  if (!kind) return <span className="job-action" />
  return (
    <span className="job-action">
      <button
        type="button"
        className={`button quiet icon-only small ${action.error ? 'is-failed' : ''}`}
        disabled={action.isPending}
        title={action.error ? problemOf(action.error).title : kind === 'retry' ? 'Retry' : 'Cancel'}
        aria-label={`${kind === 'retry' ? 'Retry' : 'Cancel'} ${job.file_name}`}
        onClick={() => action.mutate({ kind })}
      >
        <Icon name={kind === 'retry' ? 'retry' : 'close'} />
      </button>
    </span>
  )
}

function smallestPicture(job: JobResource) {
  return job.outputs
    .filter(isThumbnailable)
    .reduce<JobResource['outputs'][number] | undefined>(
      (best, output) => (best && best.size_bytes <= output.size_bytes ? best : output),
      undefined,
    )
}
