import type { JobState } from '@millrace/contract'
import { Badge } from '../../ui/badge.tsx'
import { jobLooks } from './job-state.ts'

export function JobBadge({ status }: { status: JobState }) {
  const { label, tone, icon } = jobLooks[status]
  return (
    <Badge tone={tone} {...(icon && { icon })}>
      {label}
    </Badge>
  )
}
