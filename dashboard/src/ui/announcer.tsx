import { createContext, use, useCallback, useState, type ReactNode } from 'react'

const AnnouncerContext = createContext<(text: string) => void>(() => undefined)

/** Says a short sentence to screen readers, politely; the screen itself must show the same. */
export const useAnnounce = () => use(AnnouncerContext)

export function Announcer({ children }: { children: ReactNode }) {
  const [said, setSaid] = useState({ text: '', turn: 0 })
  const announce = useCallback((text: string) => setSaid(({ turn }) => ({ text, turn: turn + 1 })), [])
  return (
    <AnnouncerContext value={announce}>
      {children}
      <div className="visually-hidden" aria-live="polite" aria-atomic="true">
        {/* A new element for each sentence, so that the same sentence twice is said twice. */}
        <span key={said.turn}>{said.text}</span>
      </div>
    </AnnouncerContext>
  )
}
