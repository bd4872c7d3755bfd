import type { ReactNode } from 'react'
import { Icon } from './icon.tsx'

export interface NoticeProblem {
  title: string
  detail?: string
  remedy: string
  code?: string
  request_id?: string
  errors?: { path: string; line?: number; message: string }[]
}

/** What went wrong, what to do about it, and what to tell the operator; `urgent` ones are read out at once. */
export function ProblemNotice({
  problem,
  urgent = false,
  facts,
  children,
}: {
  problem: NoticeProblem
  urgent?: boolean
  /** Short facts such as the step and the number of attempts. */
  facts?: ReactNode
  /** Actions. */
  children?: ReactNode
}) {
  return (
    <div className="notice tone-bad" role={urgent ? 'alert' : undefined}>
      <Icon name="warning" />
      <div className="notice-body">
        <p className="notice-title">{problem.title}</p>
        {problem.detail && problem.detail !== problem.title && <p>{problem.detail}</p>}
        {problem.errors && (
          <ul className="notice-errors">
            {problem.errors.slice(0, 10).map((error) => (
              <li key={`${error.path}:${error.line}:${error.message}`}>
                {error.line ? `Line ${error.line}: ` : ''}
                {error.message}
              </li>
            ))}
          </ul>
        )}
        <p className="notice-remedy">{problem.remedy}</p>
        {(facts || problem.code || problem.request_id) && (
          <p className="notice-facts">
            {facts}
            {problem.code && <code>{problem.code}</code>}
            {problem.request_id && <span>request {problem.request_id}</span>}
          </p>
        )}
        {children && <div className="notice-actions">{children}</div>}
      </div>
    </div>
  )
}
