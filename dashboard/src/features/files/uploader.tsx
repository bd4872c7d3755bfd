import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useId, useRef, useState } from 'react'
import { useApi } from '../../api.ts'
import { principalQuery } from '../../api/queries.ts'
import { useAnnounce } from '../../ui/announcer.tsx'
import { formatCount } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import {
  droppedFilesCountMax,
  entriesOfDrop,
  filesOfEntries,
  filesOfPicker,
  type DroppedFiles,
} from './dropped-files.ts'
import { PipelineSelect } from './pipeline-select.tsx'
import { UploadPanel } from './upload-panel.tsx'
import { useUploads } from './uploads.ts'
import { useFileDrag } from './use-file-drag.ts'

/** The place where files come in: dropped anywhere on the page, or picked. */
export function Uploader() {
  const api = useApi()
  const queue = useUploads()
  const queryClient = useQueryClient()
  const announce = useAnnounce()
  const [pipeline, setPipeline] = useState('')
  const [remark, setRemark] = useState('')
  const principal = useQuery(principalQuery(api))
  const mayUpload = principal.data?.role !== 'read-only'

  useEffect(
    () => queue.onAccepted(() => void queryClient.invalidateQueries({ queryKey: ['jobs'] }, { cancelRefetch: false })),
    [queue, queryClient],
  )

  function take(found: DroppedFiles): void {
    queue.add(found.files, { pipeline: pipeline || null })
    const text = describe(found)
    setRemark(text)
    announce(`${formatCount(found.files.length, 'file')} added. ${text}`)
  }

  const dragging = useFileDrag((transfer) => {
    if (!mayUpload) return
    // The entries must be taken at once; reading them may take its time.
    const entries = entriesOfDrop(transfer)
    void filesOfEntries(entries).then(take)
  })

  return (
    <section aria-labelledby="upload-title">
      <div className={`dropzone ${dragging ? 'is-over' : ''}`}>
        <Icon name="upload" className="dropzone-icon" />
        <div className="dropzone-text">
          <h2 id="upload-title">{dragging ? 'Let go to upload' : 'Drop files or folders here'}</h2>
          <p>{mayUpload ? 'Each file runs through a pipeline; watch its steps below.' : readOnlyReason}</p>
        </div>
        <div className="dropzone-actions">
          <PickButton label="Choose files" onPick={take} disabled={!mayUpload} primary />
          <PickButton label="Choose a folder" onPick={take} disabled={!mayUpload} folder />
          <PipelineChoice value={pipeline} onChange={setPipeline} />
        </div>
      </div>
      {remark && <p className="remark">{remark}</p>}
      <UploadPanel />
    </section>
  )
}

const readOnlyReason = 'Your role is read-only: ask an admin of the tenant for the right to upload.'

function PickButton({
  label,
  onPick,
  disabled,
  folder = false,
  primary = false,
}: {
  label: string
  onPick: (found: DroppedFiles) => void
  disabled: boolean
  folder?: boolean
  primary?: boolean
}) {
  const input = useRef<HTMLInputElement>(null)
  return (
    <>
      <button
        type="button"
        className={`button ${primary ? 'primary' : ''}`}
        disabled={disabled}
        title={disabled ? readOnlyReason : undefined}
        onClick={() => input.current?.click()}
      >
        <Icon name={folder ? 'folder' : 'document'} />
        {label}
      </button>
      <input
        ref={(element) => {
          input.current = element
          // React's types do not know the attribute that every browser has.
          if (element) element.webkitdirectory = folder
        }}
        type="file"
        multiple
        hidden
        aria-label={label}
        onChange={(event) => {
          onPick(filesOfPicker(event.target.files ?? []))
          // So that picking the same file again is a change again.
          event.target.value = ''
        }}
      />
    </>
  )
}

function PipelineChoice({ value, onChange }: { value: string; onChange: (name: string) => void }) {
  const id = useId()
  return (
    <div className="field-inline">
      <label htmlFor={id}>Pipeline</label>
      <PipelineSelect id={id} value={value} onChange={onChange} />
    </div>
  )
}

function describe({ files, leftOutCount, unreadableCount, cut }: DroppedFiles): string {
  const parts: string[] = []
  if (files.length === 0) parts.push('There was no file in it.')
  if (leftOutCount > 0) parts.push(`${formatCount(leftOutCount, 'system file')} left out.`)
  if (unreadableCount > 0) parts.push(`${formatCount(unreadableCount, 'item')} could not be read.`)
  if (cut)
    parts.push(
      `Only the first ${droppedFilesCountMax.toLocaleString('en')} files were taken; use the command line for more.`,
    )
  return parts.join(' ')
}
