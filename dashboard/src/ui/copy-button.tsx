import { useEffect, useState } from 'react'
import { useAnnounce } from './announcer.tsx'
import { Icon } from './icon.tsx'

const shownForMs = 2_000

/** Copies a text to the clipboard and says so. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [outcome, setOutcome] = useState<'copied' | 'failed' | null>(null)
  const announce = useAnnounce()

  useEffect(() => {
    if (!outcome) return undefined
    const timer = setTimeout(() => setOutcome(null), shownForMs)
    return () => clearTimeout(timer)
  }, [outcome])

  async function copy() {
    const copied = await writeClipboard(text)
    setOutcome(copied ? 'copied' : 'failed')
    announce(copied ? 'Copied' : 'The browser did not allow copying')
  }

  return (
    <button type="button" className="button small" onClick={() => void copy()}>
      <Icon name={outcome === 'copied' ? 'check' : 'copy'} />
      {outcome === 'copied' ? 'Copied' : outcome === 'failed' ? 'Not allowed' : label}
    </button>
  )
}

async function writeClipboard(text: string): Promise<boolean> {
  try {
    // Missing on plain HTTP from another machine.
    const clipboard: Clipboard | undefined = navigator.clipboard
    if (!clipboard) return false
    await clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}
