import type { CSSProperties } from 'react'
import type { Tone } from './badge.tsx'

/** How far something is, in percent; the label names the thing for those who cannot see the bar. */
export function ProgressBar({ percent, label, tone = 'active' }: { percent: number; label: string; tone?: Tone }) {
  const shown = Math.round(Math.min(Math.max(percent, 0), 100))
  // A custom property is not in React's list of style names.
  const style = { '--part': shown / 100 } as CSSProperties
  return (
    <div
      className={`progress tone-${tone}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={shown}
    >
      <div className="progress-part" style={style} />
    </div>
  )
}
