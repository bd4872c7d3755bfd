import type { JobState } from '@millrace/contract'
import { useInfiniteQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useApi } from '../../api.ts'
import { useConnection, usePollIntervalMs } from '../../api/live.ts'
import { jobsQuery, type JobFilter } from '../../api/queries.ts'
import { EmptyState } from '../../ui/empty-state.tsx'
import { MoreButton } from '../../ui/more-button.tsx'
import { problemOf } from '../../ui/problem-of.ts'
import { ProblemNotice } from '../../ui/problem-notice.tsx'
import { Skeleton } from '../../ui/skeleton.tsx'
import { JobRow } from './job-row.tsx'

const filters: { label: string; status: JobState | null }[] = [
  { label: 'All', status: null },
  { label: 'Running', status: 'running' },
  { label: 'Queued', status: 'queued' },
  { label: 'Failed', status: 'failed' },
  { label: 'With errors', status: 'completed_with_errors' },
  { label: 'Completed', status: 'completed' },
]

/** The tenant's files on their way through, newest first, with a choice of state. */
export function RecentJobs() {
  const [status, setStatus] = useState<JobState | null>(null)
  return (
    <section className="section" aria-labelledby="recent-title">
      <div className="section-head">
        <h2 id="recent-title">Recent files</h2>
        <div className="choices" role="group" aria-label="Show">
          {filters.map((filter) => (
            <button
              key={filter.label}
              type="button"
              className="choice"
              aria-pressed={filter.status === status}
              onClick={() => setStatus(filter.status)}
            >
              {filter.label}
            </button>
          ))}
        </div>
      </div>
      {/* A new list per choice, so that one does not show the other's rows while it loads. */}
      <JobList key={status ?? 'all'} filter={status ? { status } : {}} />
    </section>
  )
}

/** Jobs that match, page by page. */
export function JobList({ filter }: { filter: JobFilter }) {
  const live = useConnection().kind === 'live'
  const pollMs = usePollIntervalMs()
  const query = useInfiniteQuery({ ...jobsQuery(useApi(), filter), refetchInterval: live ? false : pollMs })
  const { data, error } = query

  if (error && !data) {
    return (
      <ProblemNotice urgent problem={problemOf(error)}>
        <button type="button" className="button" onClick={() => void query.refetch()}>
          Try again
        </button>
      </ProblemNotice>
    )
  }
  if (!data) return <Skeleton rowsCount={6} label="Loading jobs" />
  const jobs = data.pages.flatMap((page) => page.items)
  if (jobs.length === 0) return <NoJobs filter={filter} />
  return (
    <>
      <ul className="panel rows" aria-label="Jobs">
        {jobs.map((job) => (
          <JobRow key={job.job_id} job={job} />
        ))}
      </ul>
      <MoreButton list={query} label="Show older" />
    </>
  )
}

function NoJobs({ filter }: { filter: JobFilter }) {
  if (filter.status) return <EmptyState icon="search" title="No file is in this state." />
  return (
    <EmptyState icon="folder" title="Nothing here yet.">
      Drop a photo, a PDF, a spreadsheet or a zip above: its steps appear here as they happen.
    </EmptyState>
  )
}
