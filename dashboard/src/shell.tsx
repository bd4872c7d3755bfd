// What stands around every page once someone is signed in: the bar with navigation, search, the state of the
// connection and the account.

import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, type ReactNode } from 'react'
import { NavLink, useLocation, useNavigationType } from 'react-router'
import { useApi } from './api.ts'
import { useConnection } from './api/live.ts'
import { principalQuery } from './api/queries.ts'
import { UploadIndicator } from './features/files/upload-indicator.tsx'
import { SearchBox } from './features/search/search-box.tsx'
import { ErrorBoundary } from './ui/error-boundary.tsx'
import { Icon } from './ui/icon.tsx'
import { Logo } from './ui/logo.tsx'

export function Shell({ children }: { children: ReactNode }) {
  const { pathname } = useLocation()
  const main = useFocusOnNavigation()
  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <header className="bar">
        <div className="bar-inner">
          <NavLink to="/" className="brand" aria-label="Millrace: files">
            <Logo />
            <span className="brand-name">Millrace</span>
          </NavLink>
          <nav aria-label="Main">
            <NavLink to="/" end>
              Files
            </NavLink>
            <NavLink to="/pipelines">Pipelines</NavLink>
          </nav>
          <SearchBox />
          <UploadIndicator />
          <Connection />
          <Account />
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <ErrorBoundary key={pathname}>{children}</ErrorBoundary>
      </main>
    </>
  )
}

/** After following a link, the page starts at its top and so does the keyboard. Typing a search keeps its focus. */
function useFocusOnNavigation() {
  const main = useRef<HTMLElement>(null)
  const { pathname } = useLocation()
  const kind = useNavigationType()
  const shown = useRef(pathname)
  useEffect(() => {
    if (shown.current === pathname) return
    shown.current = pathname
    if (document.activeElement instanceof HTMLInputElement) return
    main.current?.focus({ preventScroll: true })
    if (kind === 'PUSH') window.scrollTo(0, 0)
  }, [pathname, kind])
  return main
}

/** Whether what is on the screen is true this moment; an interruption is seen, and so is its end. */
function Connection() {
  const { events } = useApi()
  const state = useConnection()
  const retrying = state.kind === 'waiting' || (state.kind === 'connecting' && state.failuresCount > 0)
  const text = state.kind === 'live' ? 'Live' : retrying ? 'Reconnecting' : 'Connecting'
  return (
    <span className={`connection is-${retrying ? 'down' : state.kind}`} title={titles[text]}>
      <span className="connection-dot" aria-hidden="true" />
      <span role="status" className="connection-text">
        {text}
      </span>
      {state.kind === 'waiting' && (
        <button type="button" className="button quiet small" onClick={() => events.retryNow()}>
          Now
        </button>
      )}
    </span>
  )
}

const titles = {
  Live: 'Changes appear as they happen.',
  Connecting: 'Opening the stream of events.',
  Reconnecting: 'The stream of events was cut. Meanwhile the page asks from time to time.',
}

function Account() {
  const api = useApi()
  const { data: principal } = useQuery(principalQuery(api))
  return (
    <div className="account">
      {principal && (
        <span className="account-name" title={`${principal.email ?? 'API key'}, ${principal.role}`}>
          {principal.tenant_name}
        </span>
      )}
      <button
        type="button"
        className="button quiet small"
        aria-label="Sign out" // On a narrow screen its text is hidden.
        onClick={() => void api.session.signOut()}
      >
        <Icon name="sign_out" />
        <span className="account-out">Sign out</span>
      </button>
    </div>
  )
}
