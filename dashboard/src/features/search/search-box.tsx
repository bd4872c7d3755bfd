import { useEffect, useRef, useState } from 'react'
import { useLocation, useNavigate, useSearchParams } from 'react-router'
import { Icon } from '../../ui/icon.tsx'

const settleMs = 250

/** The search of every page: results follow as one types, and "/" puts the cursor here. */
export function SearchBox() {
  const navigate = useNavigate()
  const { pathname } = useLocation()
  const [params] = useSearchParams()
  const onSearchPage = pathname === '/search'
  const current = onSearchPage ? (params.get('q') ?? '') : ''
  const [text, setText] = useState(current)
  const input = useRef<HTMLInputElement>(null)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)

  // The address is the truth: going back and forth changes the box, unless one is typing in it.
  useEffect(() => {
    if (document.activeElement !== input.current || !onSearchPage) setText(current)
  }, [current, onSearchPage])

  useEffect(() => {
    function focusOnSlash(event: KeyboardEvent) {
      const target = event.target
      const typing = target instanceof HTMLElement && target.matches('input, textarea, select, [contenteditable]')
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || typing) return
      event.preventDefault()
      input.current?.focus()
    }
    window.addEventListener('keydown', focusOnSlash)
    return () => window.removeEventListener('keydown', focusOnSlash)
  }, [])

  function go(value: string) {
    clearTimeout(timer.current)
    const trimmed = value.trim()
    if (trimmed === '' && !onSearchPage) return
    void navigate(trimmed === '' ? '/search' : `/search?q=${encodeURIComponent(trimmed)}`, { replace: onSearchPage })
  }

  function change(value: string) {
    setText(value)
    clearTimeout(timer.current)
    timer.current = setTimeout(() => go(value), settleMs)
  }

  return (
    <form
      role="search"
      className="search-box"
      onSubmit={(event) => {
        event.preventDefault()
        go(text)
      }}
    >
      <Icon name="search" />
      <input
        ref={input}
        type="search"
        value={text}
        maxLength={500}
        placeholder="Search names, metadata, text"
        aria-label="Search names, metadata and text of files"
        aria-keyshortcuts="/"
        onChange={(event) => change(event.target.value)}
      />
      <kbd aria-hidden="true">/</kbd>
    </form>
  )
}
