import type { ReactNode } from 'react'
import { problemOf } from './problem-of.ts'
import { ProblemNotice } from './problem-notice.tsx'

/**
 * A PDF in the viewer of the browser, as soon as its address is known. The address has to answer with a sandbox policy:
 * the frame itself carries none, because Chromium shows no PDF in a frame that does. Where the browser has no viewer,
 * or the reader may have no address, there is something else.
 */
export function PdfFrame({
  name,
  url,
  error,
  otherwise,
}: {
  name: string
  url: string | undefined
  error: unknown
  otherwise: ReactNode
}) {
  const problem = error ? problemOf(error) : undefined
  if (!navigator.pdfViewerEnabled || problem?.code === 'forbidden') return <div className="media">{otherwise}</div>
  if (problem) return <ProblemNotice urgent problem={problem} />
  if (url === undefined) return <div className="media is-loading" role="status" aria-label="Loading" />
  const src = `${url}#navpanes=0&view=FitH`
  // oxlint-disable-next-line react/iframe-missing-sandbox -- It stands in the answer, as said above.
  return <iframe className="pdf" src={src} title={`Pages of ${name}`} referrerPolicy="no-referrer" />
}
