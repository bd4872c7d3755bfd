import type { ReactNode } from 'react'
import { Icon, type IconName } from './icon.tsx'

/** Why a place is empty, and what would fill it. */
export function EmptyState({ icon, title, children }: { icon: IconName; title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <Icon name={icon} />
      <p className="empty-title">{title}</p>
      {children && <p>{children}</p>}
    </div>
  )
}
