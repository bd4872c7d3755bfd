import type { OutputResource } from '@millrace/contract'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useApi } from '../../api.ts'
import { viewQuery } from '../../api/queries.ts'
import { Dialog } from '../../ui/dialog.tsx'
import { DownloadButton } from '../../ui/download-button.tsx'
import { previewOf } from '../../ui/file-kind.ts'
import { formatBytes } from '../../ui/format.ts'
import { PdfFrame } from '../../ui/pdf-frame.tsx'
import { problemOf } from '../../ui/problem-of.ts'
import { ProblemNotice } from '../../ui/problem-notice.tsx'
import { useObjectUrl } from '../../ui/use-object-url.ts'
import { OutputText } from './output-text.tsx'

/** Beyond this a picture is not worth loading for a thumbnail. */
const thumbnailBytesMax = 3_000_000

/** The bytes of an output as an object URL of the stated type; null loads nothing. */
function useOutputUrl(output: OutputResource | null) {
  const api = useApi()
  return useObjectUrl(output && output.download_url, async (signal) => {
    if (!output) throw new Error('There is no output to load.')
    const response = await api.download(output.download_url, signal)
    // The type is the one we chose to show, not one that the bytes or a header may claim.
    return new Blob([await response.arrayBuffer()], { type: output.content_type })
  })
}

export const isThumbnailable = (output: OutputResource): boolean =>
  previewOf(output.content_type) === 'image' && output.size_bytes <= thumbnailBytesMax

/** The picture itself, in a place whose size does not depend on it. */
export function Thumbnail({ output, alt }: { output: OutputResource; alt: string }) {
  const content = useOutputUrl(output)
  return (
    <span className={`thumb is-${content.kind}`}>
      {content.kind === 'ready' && <img src={content.url} alt={alt} decoding="async" />}
    </span>
  )
}

export function OutputDownload({ output, label }: { output: OutputResource; label?: string }) {
  const api = useApi()
  return (
    <DownloadButton
      name={output.name}
      sizeBytes={output.size_bytes}
      fetchContent={() => api.download(output.download_url)}
      {...(label && { label })}
    />
  )
}

/** An output shown inside the page. */
export function OutputDialog({
  jobId,
  output,
  onClose,
}: {
  jobId: string
  output: OutputResource
  onClose: () => void
}) {
  const kind = previewOf(output.content_type)
  return (
    <Dialog title={output.name} onClose={onClose} actions={<OutputDownload output={output} label="Download" />}>
      {kind === 'text' && <OutputText output={output} />}
      {kind === 'pdf' && <OutputPdf jobId={jobId} output={output} />}
      {kind === 'image' && <OutputPicture output={output} />}
      <p className="muted dialog-facts">
        {output.content_type} · {formatBytes(output.size_bytes)} · made by {output.step}
      </p>
    </Dialog>
  )
}

function OutputPdf({ jobId, output }: { jobId: string; output: OutputResource }) {
  const { data, error } = useQuery(viewQuery(useApi(), { jobId, outputId: output.output_id }))
  return <PdfFrame name={output.name} url={data} error={error} otherwise={<PdfInTab output={output} />} />
}

function PdfInTab({ output }: { output: OutputResource }) {
  const content = useOutputUrl(output)
  if (content.kind === 'failed') return <ProblemNotice urgent problem={problemOf(content.error)} />
  if (content.kind === 'loading') return <div className="media is-loading" role="status" aria-label="Loading" />
  return (
    <p>
      <a className="button primary" href={content.url} target="_blank" rel="noreferrer">
        Open the PDF in a new tab
      </a>
    </p>
  )
}

function OutputPicture({ output }: { output: OutputResource }) {
  const content = useOutputUrl(output)
  const [broken, setBroken] = useState(false)
  if (content.kind === 'failed') return <ProblemNotice urgent problem={problemOf(content.error)} />
  if (content.kind === 'loading') return <div className="media is-loading" role="status" aria-label="Loading" />
  return (
    <div className="media">
      {broken ? (
        <p className="muted">This browser cannot show the picture; download it instead.</p>
      ) : (
        <img src={content.url} alt={output.name} onError={() => setBroken(true)} />
      )}
    </div>
  )
}
