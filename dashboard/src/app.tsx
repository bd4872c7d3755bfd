// The pages and their addresses, and the only place where features meet: none of them imports another.

import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { useEffect, useSyncExternalStore, useState } from 'react'
import { BrowserRouter, Link, Route, Routes } from 'react-router'
import { ApiProblem, problems } from '@millrace/contract'
import { useApi } from './api.ts'
import { useLiveEvents } from './api/live.ts'
import { FilePage } from './features/files/file-page.tsx'
import { Uploader } from './features/files/uploader.tsx'
import { useUploads } from './features/files/uploads.ts'
import { JobList, RecentJobs } from './features/jobs/job-list.tsx'
import { JobPage } from './features/jobs/job-page.tsx'
import { PipelinesPage } from './features/pipelines/pipelines-page.tsx'
import { SearchPage } from './features/search/search-page.tsx'
import { SignInPage } from './features/sign-in/sign-in-page.tsx'
import { Shell } from './shell.tsx'
import { Announcer } from './ui/announcer.tsx'
import { EmptyState } from './ui/empty-state.tsx'

const queryTriesCountMax = 2

/** A refusal is not repeated; what may succeed later is, twice. */
function isWorthRepeating(failuresCount: number, error: unknown): boolean {
  if (failuresCount >= queryTriesCountMax) return false
  if (!(error instanceof ApiProblem)) return true
  const { code, status } = error.problem
  return Object.hasOwn(problems, code) ? problems[code].retryable : status >= 500
}

const createQueryClient = () =>
  new QueryClient({
    defaultOptions: {
      queries: { retry: isWorthRepeating, staleTime: 5_000, refetchOnWindowFocus: true },
    },
  })

export function App() {
  const { session } = useApi()
  const state = useSyncExternalStore(session.subscribe, session.getState)
  const signedIn = state.kind === 'signed-in'
  return signedIn ? <SignedIn /> : <SignedOut ended={state.problem} />
}

function SignedOut({ ended }: { ended: unknown }) {
  const [queryClient] = useState(createQueryClient)
  return (
    <QueryClientProvider client={queryClient}>
      <SignInPage ended={ended} />
    </QueryClientProvider>
  )
}

/** Everything below lives as long as one session: the next one starts with an empty cache and no uploads. */
function SignedIn() {
  const [queryClient] = useState(createQueryClient)
  const uploads = useUploads()
  useLiveEvents(queryClient)
  useEffect(
    () => () => {
      uploads.cancelAll()
      uploads.clearEnded()
      queryClient.clear()
    },
    [uploads, queryClient],
  )
  return (
    <QueryClientProvider client={queryClient}>
      <Announcer>
        <BrowserRouter>
          <Shell>
            <Routes>
              <Route index element={<FilesPage />} />
              <Route path="jobs/:jobId" element={<JobPage />} />
              <Route path="files/:fileId" element={<FilePage jobsOf={jobsOf} />} />
              <Route path="search" element={<SearchPage />} />
              <Route path="pipelines" element={<PipelinesPage />} />
              <Route path="*" element={<NotFoundPage />} />
            </Routes>
          </Shell>
        </BrowserRouter>
      </Announcer>
    </QueryClientProvider>
  )
}

const jobsOf = (fileId: string) => <JobList filter={{ fileId }} />

function FilesPage() {
  return (
    <>
      <title>Files · Millrace</title>
      <h1 className="visually-hidden">Files</h1>
      <Uploader />
      <RecentJobs />
    </>
  )
}

function NotFoundPage() {
  return (
    <>
      <title>Not found · Millrace</title>
      <h1 className="visually-hidden">Not found</h1>
      <EmptyState icon="search" title="There is no such page.">
        <Link to="/">Go to the files</Link>
      </EmptyState>
    </>
  )
}
