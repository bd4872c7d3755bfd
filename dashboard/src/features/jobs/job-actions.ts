import type { JobResource } from '@millrace/contract'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useApi } from '../../api.ts'
import { useAnnounce } from '../../ui/announcer.tsx'

export type JobAction = { kind: 'retry' } | { kind: 'cancel' } | { kind: 'replay'; step: string }

/** Does something to a job and shows its answer at once, on every page that knows the job. */
export function useJobAction(jobId: string) {
  const api = useApi()
  const queryClient = useQueryClient()
  const announce = useAnnounce()

  function send(action: JobAction): Promise<JobResource> {
    const params = { job_id: jobId }
    if (action.kind === 'replay') return api.call('replayStep', { params: { ...params, step: action.step } })
    return api.call(action.kind === 'retry' ? 'retryJob' : 'cancelJob', { params })
  }

  return useMutation({
    mutationFn: send,
    onSuccess: (job, action) => {
      queryClient.setQueryData(['job', jobId], job)
      announce(said[action.kind])
      return queryClient.invalidateQueries({ queryKey: ['jobs'] })
    },
  })
}

const said = { retry: 'The job runs again', cancel: 'The job is being cancelled', replay: 'The step runs again' }
