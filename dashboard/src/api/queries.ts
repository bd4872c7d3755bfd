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

export type Viewable = { fileId: string; version: number } | { jobId: string; outputId: string }

/** Long enough for a viewer that asks for one range after the other. */
const viewLinkSeconds = 600

/** Where a frame finds a PDF: it sends no credentials, so a short-lived link stands in for them. */
export const viewQuery = (api: Api, target: Viewable) =>
  queryOptions({
    queryKey: ['view', target],
    async queryFn({ signal }) {
      const body = { expires_in: viewLinkSeconds }
      if ('fileId' in target) {
        const params = { file_id: target.fileId }
        const link = await api.call('createFileLink', { params, body: { ...body, version: target.version }, signal })
        return `${api.addressOf('createFileLink', { params }, link.url)}?frame=true`
      }
      const params = { job_id: target.jobId, output_id: target.outputId }
      const link = await api.call('createOutputLink', { params, body, signal })
      return `${api.addressOf('createOutputLink', { params }, link.url)}?frame=true`
    },
    // Another link would have the viewer begin anew.
    staleTime: 'static',
    gcTime: 0,
    retry: false,
  })
