import { useEffect, useRef, useState } from 'react'

export type ObjectUrl =
  | { kind: 'loading' }
  | { kind: 'ready'; url: string; sizeBytes: number }
  | { kind: 'failed'; error: unknown }

/**
 * Loads bytes that need credentials and lends them to the page as an object URL, which is revoked when the component
 * goes or the key changes. A null key loads nothing.
 * The key says which bytes: another function for the same key does not load them again.
 */
export function useObjectUrl(key: string | null, load: (signal: AbortSignal) => Promise<Blob>): ObjectUrl {
  const [state, setState] = useState<ObjectUrl>({ kind: 'loading' })

  const latestLoad = useRef(load)
  useEffect(() => {
    latestLoad.current = load
  })

  useEffect(() => {
    if (key === null) return undefined
    const aborter = new AbortController()
    let url: string | null = null
    latestLoad.current(aborter.signal).then(
      (blob) => {
        if (aborter.signal.aborted) return
        url = URL.createObjectURL(blob)
        setState({ kind: 'ready', url, sizeBytes: blob.size })
      },
      (error: unknown) => {
        if (!aborter.signal.aborted) setState({ kind: 'failed', error })
      },
    )
    return () => {
      aborter.abort()
      if (url !== null) URL.revokeObjectURL(url)
      setState({ kind: 'loading' })
    }
  }, [key])

  return state
}
