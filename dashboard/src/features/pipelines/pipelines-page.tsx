import type { PipelineResource } from '@millrace/contract'
import { useQuery } from '@tanstack/react-query'
import { useApi } from '../../api.ts'
import { pipelinesQuery } from '../../api/queries.ts'
import { Badge } from '../../ui/badge.tsx'
import { CopyButton } from '../../ui/copy-button.tsx'
import { EmptyState } from '../../ui/empty-state.tsx'
import { Icon } from '../../ui/icon.tsx'
import { problemOf } from '../../ui/problem-of.ts'
import { ProblemNotice } from '../../ui/problem-notice.tsx'
import { Skeleton } from '../../ui/skeleton.tsx'

/** Every pipeline at its newest version, with its source to copy. */
export function PipelinesPage() {
  const { data, error } = useQuery(pipelinesQuery(useApi()))
  return (
    <>
      <title>Pipelines · Millrace</title>
      <div className="page-head">
        <div>
          <h1>Pipelines</h1>
          <p className="muted lead">
            What is done to a file, step by step. Copy a source, change it, and add it as your own with{' '}
            <code>npx millrace pipelines create FILE</code>.
          </p>
        </div>
      </div>
      {error && !data && <ProblemNotice urgent problem={problemOf(error)} />}
      {!error && !data && <Skeleton rowsCount={5} label="Loading pipelines" />}
      {data?.items.length === 0 && <EmptyState icon="folder" title="There is no pipeline." />}
      {data && data.items.length > 0 && (
        <ul className="panel rows" aria-label="Pipelines">
          {data.items.map((pipeline) => (
            <Pipeline key={pipeline.pipeline_id} pipeline={pipeline} />
          ))}
        </ul>
      )}
    </>
  )
}

function Pipeline({ pipeline }: { pipeline: PipelineResource }) {
  return (
    <li className="pipeline">
      <details className="disclosure">
        <summary>
          <span className="pipeline-name">
            <span className="name">{pipeline.name}</span>
            {pipeline.description && <span className="muted sub">{pipeline.description}</span>}
          </span>
          <span className="pipeline-accept muted sub">{pipeline.accept.join(', ') || 'any type'}</span>
          <Badge tone="neutral">{pipeline.built_in ? 'Built in' : `Version ${pipeline.version}`}</Badge>
          <Icon name="chevron" className="chevron" />
        </summary>
        <div className="disclosure-body pipeline-body">
          <CopyButton text={pipeline.source} label="Copy source" />
          {/* Scrolls, so the keyboard must be able to reach it. */}
          <pre className="source" tabIndex={0} aria-label={`Source of ${pipeline.name}`} role="region">
            {pipeline.source}
          </pre>
        </div>
      </details>
    </li>
  )
}
