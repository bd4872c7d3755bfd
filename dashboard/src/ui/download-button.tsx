import { useState } from 'react'
import { useAnnounce } from './announcer.tsx'
import { Icon } from './icon.tsx'
import { problemOf } from './problem-of.ts'
import { canStreamToDisk, saveBlob, saveStream } from './save.ts'

/** From here on a download is written to disk as it arrives, where the browser can. */
const streamFromBytes = 64_000_000

export interface DownloadButtonProps {
  name: string
  sizeBytes: number
  /** Fetches the bytes with credentials. */
  fetchContent: () => Promise<Response>
  /** Text of the button; left out, it shows its icon only. */
  label?: string
  disabledReason?: string | null
}

/** Saves bytes that need credentials, which a plain link cannot fetch. */
export function DownloadButton({ name, sizeBytes, fetchContent, label, disabledReason = null }: DownloadButtonProps) {
  const [state, setState] = useState<'idle' | 'busy' | 'failed'>('idle')
  const [reason, setReason] = useState('')
  const announce = useAnnounce()

  async function download() {
    setState('busy')
    try {
      let saved = true
      if (sizeBytes >= streamFromBytes && canStreamToDisk(window)) saved = await saveStream(window, name, fetchContent)
      else saveBlob(await (await fetchContent()).blob(), name)
      setState('idle')
      if (saved) announce(`${name} saved`)
    } catch (error) {
      const { title } = problemOf(error)
      setReason(title)
      setState('failed')
      announce(`${name} could not be downloaded: ${title}`)
    }
  }

  const title = disabledReason ?? (state === 'failed' ? `${reason} Click to try again.` : undefined)
  return (
    <button
      type="button"
      className={`button ${label ? '' : 'quiet icon-only small'} ${state === 'failed' ? 'is-failed' : ''}`}
      disabled={disabledReason !== null || state === 'busy'}
      aria-busy={state === 'busy'}
      aria-label={label ? undefined : `Download ${name}`}
      title={title}
      onClick={() => void download()}
    >
      <Icon name={state === 'failed' ? 'warning' : 'download'} />
      {label && (state === 'busy' ? 'Downloading…' : label)}
    </button>
  )
}
