import { createContext, use, useCallback, useState, type ReactNode } from 'react'

const AnnouncerContext = createContext<(text: string) => void>(() => undefined)

/** Says a short sentence to screen readers, politely; the screen itself must show the same. */
export const useAnnounce = () => use(AnnouncerContext)

/** A reader takes a while over a sentence: the next must not take its place before it is read. */
const keptCount = 5

export function Announcer({ children }: { children: ReactNode }) {
  const [said, setSaid] = useState<{ text: string; turn: number }[]>([])
  const announce = useCallback(
    (text: string) =>
      setSaid((before) => [...before, { text, turn: (before.at(-1)?.turn ?? 0) + 1 }].slice(-keptCount)),
    [],
  )
  return (
    <AnnouncerContext value={announce}>
      {children}
      <div
        className="visually-hidden"
        role="log"
        aria-label="Announcements"
        aria-live="polite"
        aria-relevant="additions"
      >
        {said.map(({ text, turn }) => (
          <p key={turn}>{text}</p>
        ))}
      </div>
    </AnnouncerContext>
  )
}
