import type { StepResource } from '@millrace/contract'
import { stepLooks } from './job-state.ts'

/** A job's steps at a glance: a mark for each, in the order of the stages. */
export function StepStrip({ steps }: { steps: StepResource[] }) {
  const doneCount = steps.filter((step) => step.state === 'succeeded').length
  return (
    <span className="strip" role="img" aria-label={`${doneCount} of ${steps.length} steps done`}>
      {steps.map((step) => (
        <span
          key={step.name}
          className={`strip-step is-${step.state}`}
          title={`${step.name}: ${stepLooks[step.state].label.toLowerCase()}`}
        />
      ))}
    </span>
  )
}
