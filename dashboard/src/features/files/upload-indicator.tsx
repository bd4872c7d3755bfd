import { useEffect } from 'react'
import { Link } from 'react-router'
import { Icon } from '../../ui/icon.tsx'
import { useUploadSnapshot } from './uploads.ts'

/** Tells on every page that uploads are under way, and asks before the tab is closed on them. */
export function UploadIndicator() {
  const { totals } = useUploadSnapshot()
  const busy = totals.liveCount > 0

  useEffect(() => {
    if (!busy) return undefined
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    window.addEventListener('beforeunload', ask)
    return () => window.removeEventListener('beforeunload', ask)
  }, [busy])

  if (!busy) return null
  return (
    <Link to="/" className="indicator" aria-label={`Uploading ${totals.liveCount} more files`}>
      <Icon name="upload" />
      <span className="figures">{totals.liveCount}</span>
    </Link>
  )
}
