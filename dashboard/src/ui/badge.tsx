import { Icon, type IconName } from './icon.tsx'

export type Tone = 'neutral' | 'active' | 'good' | 'warn' | 'bad'

/** A state in one or two words; colour, icon and word say the same, so that none of them is needed alone. */
export function Badge({ tone, icon, children }: { tone: Tone; icon?: IconName; children: string }) {
  return (
    <span className={`badge tone-${tone}`}>
      {icon ? <Icon name={icon} /> : <span className="badge-dot" aria-hidden="true" />}
      {children}
    </span>
  )
}
