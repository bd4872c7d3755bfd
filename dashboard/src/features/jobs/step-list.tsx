import { isJobEnded, stageNames, stageOrder, type JobResource, type StepResource } from '@millrace/contract'
import { useState, type CSSProperties } from 'react'
import { durationBetweenMs, formatBytes, formatCount, formatDuration } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { JsonView } from '../../ui/json-view.tsx'
import { problemOf } from '../../ui/problem-of.ts'
import { ProblemNotice } from '../../ui/problem-notice.tsx'
import { useJobAction } from './job-actions.ts'
import { stageLabels, stepLooks } from './job-state.ts'

/** The steps of a job, stage after stage, each to be opened for its result. */
export function StepList({ job }: { job: JobResource }) {
  const stages = stageNames
    .map((stage) => ({ stage, steps: job.steps.filter((step) => step.stage === stage) }))
    .filter(({ steps }) => steps.length > 0)
    .toSorted((one, other) => stageOrder(one.stage) - stageOrder(other.stage))
  return (
    <ol className="stages">
      {stages.map(({ stage, steps }) => (
        <li key={stage} className="stage">
          <h3>{stageLabels[stage]}</h3>
          <ul className="panel">
            {steps.map((step) => (
              <StepItem key={step.name} step={step} job={job} />
            ))}
          </ul>
        </li>
      ))}
    </ol>
  )
}

function StepItem({ step, job }: { step: StepResource; job: JobResource }) {
  // A failed step is why one came: it stands open until it is closed.
  const [chosen, setChosen] = useState<boolean | null>(null)
  const open = chosen ?? step.state === 'failed'
  const look = stepLooks[step.state]
  const durationMs = durationBetweenMs(step.started_at, step.finished_at)
  const outputs = job.outputs.filter((output) => output.step === step.name)
  return (
    <li className="step" id={`step-${step.name}`}>
      <details className="disclosure" open={open}>
        <summary
          onClick={(event) => {
            // The state is ours: left to the browser, it would be lost with the next progress event.
            event.preventDefault()
            setChosen(!open)
          }}
        >
          <span className={`step-icon tone-${look.tone} is-${step.state}`}>
            <Icon name={look.icon} />
          </span>
          <span className="step-name">
            <span className="name">{step.name}</span>
            <code className="muted">{step.processor}</code>
          </span>
          <span className="step-tasks muted figures">{tasksText(step)}</span>
          <StepBar step={step} job={job} />
          <span className="step-time figures">{durationMs === null ? look.label : formatDuration(durationMs)}</span>
          <Icon name="chevron" className="chevron" />
        </summary>
        {open && (
          <div className="disclosure-body step-body">
            <p className="muted step-facts">{factsOf(step)}</p>
            {step.problem && (
              <ProblemNotice problem={step.problem} facts={<span>{formatCount(step.attempts, 'attempt')}</span>} />
            )}
            {outputs.length > 0 && (
              <p className="muted">
                Made{' '}
                {outputs
                  .slice(0, 8)
                  .map((output) => `${output.name} (${formatBytes(output.size_bytes)})`)
                  .join(', ')}
                {outputs.length > 8 && ` and ${outputs.length - 8} more`}.
              </p>
            )}
            {hasResult(step) && <JsonView value={step.result} label="result" />}
            <ReplayButton job={job} step={step} />
          </div>
        )}
      </details>
    </li>
  )
}

function ReplayButton({ job, step }: { job: JobResource; step: StepResource }) {
  const action = useJobAction(job.job_id)
  if (!isJobEnded(job.status) || step.stage === 'collect') return null
  return (
    <>
      <button
        type="button"
        className="button small"
        disabled={action.isPending}
        onClick={() => action.mutate({ kind: 'replay', step: step.name })}
      >
        <Icon name="retry" />
        Run again from here
      </button>
      {action.error && <ProblemNotice urgent problem={problemOf(action.error)} />}
    </>
  )
}

/** When the step ran within its job, as a bar on a line. */
function StepBar({ step, job }: { step: StepResource; job: JobResource }) {
  const startMs = job.started_at === null ? null : Date.parse(job.started_at)
  const endMs = endOf(job)
  if (startMs === null || step.started_at === null || endMs <= startMs) return <span className="step-bar" />
  const lengthMs = endMs - startMs
  const from = Math.min(Math.max((Date.parse(step.started_at) - startMs) / lengthMs, 0), 1)
  const to = step.finished_at === null ? 1 : Math.min((Date.parse(step.finished_at) - startMs) / lengthMs, 1)
  // Custom properties are not in React's list of style names.
  const style = { '--from': from, '--length': Math.max(to - from, 0.01) } as CSSProperties
  return (
    <span className="step-bar" aria-hidden="true">
      <span className={`step-bar-part is-${step.state}`} style={style} />
    </span>
  )
}

function endOf(job: JobResource): number {
  if (job.finished_at !== null) return Date.parse(job.finished_at)
  const seen = job.steps.flatMap((step) => [step.started_at, step.finished_at]).filter((at) => at !== null)
  return Math.max(0, ...seen.map((at) => Date.parse(at)))
}

function tasksText(step: StepResource): string {
  if (step.tasks_total <= 1) return ''
  const failed = step.tasks_failed > 0 ? `, ${step.tasks_failed} failed` : ''
  return `${step.tasks_done} of ${step.tasks_total} tasks${failed}`
}

function factsOf(step: StepResource): string {
  const parts = [stepLooks[step.state].label]
  if (step.needs.length > 0) parts.push(`after ${step.needs.join(', ')}`)
  if (step.tasks_total > 1) parts.push(tasksText(step))
  if (step.attempts > 1) parts.push(formatCount(step.attempts, 'attempt'))
  return parts.join(' · ')
}

const hasResult = (step: StepResource): boolean =>
  typeof step.result === 'object' && step.result !== null && Object.keys(step.result).length > 0
