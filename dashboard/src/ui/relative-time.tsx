import { useEffect, useState } from 'react'
import { formatAgo, formatDateTime } from './format.ts'

const refreshEveryMs = 30_000

/** How long ago something was, kept true while it is on the screen; the exact time on hover and for machines. */
export function RelativeTime({ at }: { at: string }) {
  const [nowMs, setNowMs] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), refreshEveryMs)
    return () => clearInterval(timer)
  }, [])
  return (
    <time dateTime={at} title={formatDateTime(at)}>
      {formatAgo(at, Math.max(nowMs, Date.parse(at)))}
    </time>
  )
}
