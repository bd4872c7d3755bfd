// What the pages read, under the keys by which live events and actions find it again.

import type { JobState } from '@millrace/contract'
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import type { Api } from '../api.ts'

export interface JobFilter {
  status?: JobState
  fileId?: string
  parentJobId?: string
}

const pageItemsCount = 50

export const principalQuery = (api: Api) =>
  queryOptions({
    queryKey: ['principal'],
    queryFn: ({ signal }) => api.call('getPrincipal', { signal }),
    staleTime: Infinity,
  })

export const jobsQuery = (api: Api, filter: JobFilter = {}) =>
  infiniteQueryOptions({
    queryKey: ['jobs', filter],
    queryFn: ({ signal, pageParam }) =>
      api.call('listJobs', {
        query: {
          limit: pageItemsCount,
          ...(filter.status && { status: filter.status }),
          ...(filter.fileId && { file_id: filter.fileId }),
          ...(filter.parentJobId && { parent_job_id: filter.parentJobId }),
          ...(pageParam && { cursor: pageParam }),
        },
        signal,
      }),
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor,
  })

export const jobQuery = (api: Api, jobId: string) =>
  queryOptions({
    queryKey: ['job', jobId],
    queryFn: ({ signal }) => api.call('getJob', { params: { job_id: jobId }, signal }),
  })

export const fileQuery = (api: Api, fileId: string) =>
  queryOptions({
    queryKey: ['file', fileId],
    queryFn: ({ signal }) => api.call('getFile', { params: { file_id: fileId }, signal }),
  })

export const pipelinesQuery = (api: Api) =>
  queryOptions({
    queryKey: ['pipelines'],
    queryFn: ({ signal }) => api.call('listPipelines', { query: { limit: 200 }, signal }),
    staleTime: 60_000,
  })

export const searchQuery = (api: Api, text: string) =>
  infiniteQueryOptions({
    queryKey: ['search', text],
    queryFn: ({ signal, pageParam }) =>
      api.call('search', { query: { q: text, limit: 25, ...(pageParam && { cursor: pageParam }) }, signal }),
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor,
    enabled: text !== '',
  })
