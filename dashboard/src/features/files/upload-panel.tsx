import { useEffect, useRef, useState } from 'react'
import { Link } from 'react-router'
import { useAnnounce } from '../../ui/announcer.tsx'
import { fileKindOfName } from '../../ui/file-kind.ts'
import { formatBytes, formatCount } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { ProgressBar } from '../../ui/progress-bar.tsx'
import type { UploadItem, UploadTotals } from './upload-queue.ts'
import { useUploads, useUploadSnapshot } from './uploads.ts'

const rowsShownMax = 60

/** What is being uploaded: the whole, then each file that is on its way or did not get through. */
export function UploadPanel() {
  const queue = useUploads()
  const { items, totals } = useUploadSnapshot()
  const [showAll, setShowAll] = useState(false)
  useProgressAnnouncements(totals)
  if (items.length === 0) return null

  const wanted = showAll ? items : items.filter(({ state }) => state !== 'accepted' && state !== 'cancelled')
  const rows = inOrderOfInterest(wanted).slice(0, rowsShownMax)
  const percent = totals.sizeBytes === 0 ? 100 : (totals.sentBytes / totals.sizeBytes) * 100
  const busy = totals.liveCount > 0

  return (
    <div className="panel uploads" role="group" aria-label="Uploads">
      <div className="uploads-head">
        <p className="uploads-title">{titleOf(totals)}</p>
        <p className="muted figures">
          {formatBytes(totals.sentBytes)} of {formatBytes(totals.sizeBytes)}
        </p>
        <div className="uploads-actions">
          {totals.failedCount > 1 && (
            <button type="button" className="button small" onClick={() => queue.retryFailed()}>
              Retry all failed
            </button>
          )}
          {busy && (
            <button type="button" className="button small" onClick={() => queue.cancelAll()}>
              Cancel all
            </button>
          )}
          {!busy && (
            <button type="button" className="button small" onClick={() => queue.clearEnded()}>
              Clear
            </button>
          )}
        </div>
        <ProgressBar percent={percent} label="All uploads" tone={totals.failedCount > 0 && !busy ? 'bad' : 'active'} />
      </div>
      {rows.length > 0 && (
        // Scrolls, so it takes the focus: the keyboard has no other way in when no row has a button.
        <ul className="uploads-rows" tabIndex={0} aria-label="Files being uploaded">
          {rows.map((item) => (
            <UploadRow key={item.id} item={item} />
          ))}
          {wanted.length > rows.length && <li className="uploads-more">and {wanted.length - rows.length} more</li>}
        </ul>
      )}
      {totals.acceptedCount > 0 && (
        <button
          type="button"
          className="button quiet small"
          onClick={() => setShowAll(!showAll)}
          aria-expanded={showAll}
        >
          {showAll ? 'Hide what has arrived' : `Show the ${totals.acceptedCount} that arrived`}
        </button>
      )}
    </div>
  )
}

function UploadRow({ item }: { item: UploadItem }) {
  const queue = useUploads()
  const live = item.state === 'waiting' || item.state === 'sending'
  const percent = item.file.size === 0 ? 0 : (item.sentBytes / item.file.size) * 100
  return (
    <li className={`upload-row is-${item.state}`}>
      <Icon name={fileKindOfName(item.path)} />
      <div className="upload-name">
        <span className="name">
          {item.result ? <Link to={`/jobs/${item.result.job_id}`}>{item.path}</Link> : item.path}
        </span>
        {item.problem && (
          <span className="upload-problem">
            {item.problem.title} {item.problem.remedy}
          </span>
        )}
      </div>
      <span className="figures muted">{stateText(item, percent)}</span>
      {live && (
        <button
          type="button"
          className="button quiet icon-only small"
          aria-label={`Cancel the upload of ${item.path}`}
          onClick={() => queue.cancel(item.id)}
        >
          <Icon name="close" />
        </button>
      )}
      {item.state === 'failed' && (
        <button
          type="button"
          className="button quiet icon-only small"
          aria-label={`Retry the upload of ${item.path}`}
          onClick={() => queue.retry(item.id)}
        >
          <Icon name="retry" />
        </button>
      )}
      {item.state === 'sending' && <ProgressBar percent={percent} label={`Upload of ${item.path}`} />}
    </li>
  )
}

const order: Record<UploadItem['state'], number> = { sending: 0, failed: 1, waiting: 2, accepted: 3, cancelled: 4 }

function inOrderOfInterest(items: readonly UploadItem[]): UploadItem[] {
  return items.toSorted((one, other) => order[one.state] - order[other.state] || one.id - other.id)
}

function stateText(item: UploadItem, percent: number): string {
  switch (item.state) {
    case 'waiting':
      return item.retryAtMs === null ? 'waiting' : 'trying again'
    case 'sending':
      return percent >= 100 ? 'being stored' : `${Math.floor(percent)} % of ${formatBytes(item.file.size)}`
    case 'accepted':
      return formatBytes(item.file.size)
    default:
      return item.state
  }
}

function titleOf(totals: UploadTotals): string {
  const failed = totals.failedCount > 0 ? `, ${totals.failedCount} failed` : ''
  const cancelled = totals.cancelledCount > 0 ? `, ${totals.cancelledCount} cancelled` : ''
  if (totals.liveCount > 0) {
    return `Uploading: ${totals.acceptedCount} of ${formatCount(totals.itemsCount, 'file')}${failed}`
  }
  return `${formatCount(totals.acceptedCount, 'file')} uploaded${failed}${cancelled}`
}

/** Says where the uploads stand at each quarter and at the end, not at every percent. */
function useProgressAnnouncements(totals: UploadTotals): void {
  const announce = useAnnounce()
  const saidQuarter = useRef(0)
  useEffect(() => {
    const { liveCount, itemsCount } = totals
    const quarter = itemsCount === 0 ? 0 : Math.floor((4 * (itemsCount - liveCount)) / itemsCount)
    if (quarter !== saidQuarter.current && quarter > 0) announce(titleOf(totals))
    saidQuarter.current = quarter
  }, [announce, totals])
}
