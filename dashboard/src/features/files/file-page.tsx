import type { FileResource, FileState } from '@millrace/contract'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useId, useState, type ReactNode } from 'react'
import { Link, useNavigate, useParams } from 'react-router'
import { useApi } from '../../api.ts'
import { fileQuery, viewQuery } from '../../api/queries.ts'
import { useAnnounce } from '../../ui/announcer.tsx'
import { Badge, type Tone } from '../../ui/badge.tsx'
import { CopyButton } from '../../ui/copy-button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { DownloadButton } from '../../ui/download-button.tsx'
import { fileKindOf, previewOf } from '../../ui/file-kind.ts'
import { formatBytes, formatDateTime } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { JsonView } from '../../ui/json-view.tsx'
import { PdfFrame } from '../../ui/pdf-frame.tsx'
import { problemOf } from '../../ui/problem-of.ts'
import { ProblemNotice } from '../../ui/problem-notice.tsx'
import { Skeleton } from '../../ui/skeleton.tsx'
import { PipelineSelect } from './pipeline-select.tsx'

const stateBadges: Record<FileState, { tone: Tone; label: string }> = {
  quarantined: { tone: 'active', label: 'Being checked' },
  available: { tone: 'good', label: 'Checked' },
  infected: { tone: 'bad', label: 'Infected' },
  rejected: { tone: 'bad', label: 'Rejected' },
  unscannable: { tone: 'bad', label: 'Could not be checked' },
  deleted: { tone: 'neutral', label: 'In the trash' },
}

/** One file: what it is, what is known about it, and the jobs that ran over it. */
export function FilePage({ jobsOf }: { jobsOf: (fileId: string) => ReactNode }) {
  const { fileId = '' } = useParams()
  const { data: file, error } = useQuery(fileQuery(useApi(), fileId))
  if (error && !file) {
    return (
      <>
        <title>File · Millrace</title>
        <h1 className="visually-hidden">File</h1>
        <ProblemNotice urgent problem={problemOf(error)} />
      </>
    )
  }
  if (!file) return <Skeleton rowsCount={4} label="Loading the file" />
  const badge = stateBadges[file.state]
  return (
    <>
      <title>{`${file.name} · Millrace`}</title>
      <div className="page-head">
        <div className="page-title">
          <Icon name={fileKindOf(file.content_type)} className="kind" />
          <h1>{file.name}</h1>
          <Badge tone={badge.tone}>{badge.label}</Badge>
        </div>
        <FileActions file={file} />
      </div>
      <FileFacts file={file} />
      <section className="section">
        <h2>Jobs</h2>
        {jobsOf(file.file_id)}
      </section>
      <section className="section">
        <h2>Metadata</h2>
        {Object.keys(file.metadata).length === 0 ? (
          <p className="muted">Nothing was sent with the file, and no step has added anything.</p>
        ) : (
          <div className="panel padded">
            <JsonView value={file.metadata} label="metadata" />
          </div>
        )}
      </section>
    </>
  )
}

function FileFacts({ file }: { file: FileResource }) {
  return (
    <dl className="facts">
      <div>
        <dt>Type</dt>
        <dd>{file.content_type}</dd>
      </div>
      <div>
        <dt>Size</dt>
        <dd>{formatBytes(file.size_bytes)}</dd>
      </div>
      <div>
        <dt>Version</dt>
        <dd>{file.version}</dd>
      </div>
      <div>
        <dt>Uploaded</dt>
        <dd>{formatDateTime(file.created_at)}</dd>
      </div>
      {file.parent_file_id && (
        <div>
          <dt>Came out of</dt>
          <dd>
            <Link to={`/files/${file.parent_file_id}`}>its archive</Link>
          </dd>
        </div>
      )}
      <div className="wide">
        <dt>SHA-256</dt>
        <dd className="with-action">
          <code className="hash">{file.sha256}</code>
          <CopyButton text={file.sha256} label="Copy" />
        </dd>
      </div>
    </dl>
  )
}

function FileActions({ file }: { file: FileResource }) {
  const api = useApi()
  const queryClient = useQueryClient()
  const announce = useAnnounce()
  const params = { file_id: file.file_id }
  const trash = useMutation({
    mutationFn: async () => {
      if (file.deleted_at) await api.call('restoreFile', { params })
      else await api.call('deleteFile', { params })
    },
    onSuccess: () => {
      announce(file.deleted_at ? 'Restored' : 'Moved to the trash')
      return queryClient.invalidateQueries()
    },
  })
  return (
    <div className="page-actions">
      {file.state === 'available' && previewOf(file.content_type) === 'pdf' && <ViewPdf file={file} />}
      <DownloadButton
        fetchContent={() => api.stream('getFileContent', { params })}
        name={file.name}
        sizeBytes={file.size_bytes}
        label="Download original"
        disabledReason={file.state === 'available' ? null : (file.verdict?.title ?? notReadable(file.state))}
      />
      <RunAgain file={file} />
      <button type="button" className="button" disabled={trash.isPending} onClick={() => trash.mutate()}>
        {file.deleted_at ? 'Restore' : 'Move to trash'}
      </button>
      {trash.error && <ProblemNotice urgent problem={problemOf(trash.error)} />}
    </div>
  )
}

function ViewPdf({ file }: { file: FileResource }) {
  const [isOpen, setOpen] = useState(false)
  return (
    <>
      <button type="button" className="button" onClick={() => setOpen(true)}>
        View
      </button>
      {isOpen && (
        <Dialog title={file.name} onClose={() => setOpen(false)}>
          <PdfPages file={file} />
        </Dialog>
      )}
    </>
  )
}

function PdfPages({ file }: { file: FileResource }) {
  const { data, error } = useQuery(viewQuery(useApi(), { fileId: file.file_id, version: file.version }))
  const otherwise = <p className="muted">It cannot be shown here; download it instead.</p>
  return <PdfFrame name={file.name} url={data} error={error} otherwise={otherwise} />
}

const notReadable = (state: FileState): string =>
  state === 'quarantined' ? 'The file has not been cleared yet.' : 'The file cannot be downloaded in this state.'

function RunAgain({ file }: { file: FileResource }) {
  const api = useApi()
  const id = useId()
  const navigate = useNavigate()
  const [pipeline, setPipeline] = useState('')
  const run = useMutation({
    mutationFn: () => api.call('createJob', { body: { file_id: file.file_id, ...(pipeline !== '' && { pipeline }) } }),
    onSuccess: ({ job_id: jobId }) => navigate(`/jobs/${jobId}`),
  })
  return (
    <>
      <div className="joined">
        <label htmlFor={id} className="visually-hidden">
          Pipeline to run
        </label>
        <PipelineSelect id={id} value={pipeline} onChange={setPipeline} />
        <button
          type="button"
          className="button"
          disabled={run.isPending || file.deleted_at !== null}
          onClick={() => run.mutate()}
        >
          Run
        </button>
      </div>
      {run.error && <ProblemNotice urgent problem={problemOf(run.error)} />}
    </>
  )
}
