import { Component, type ReactNode } from 'react'
import { ProblemNotice } from './problem-notice.tsx'

/** Keeps a fault of one page from taking the others with it. Give it a key that changes with the page. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false }

  static getDerivedStateFromError() {
    return { failed: true }
  }

  override render() {
    if (!this.state.failed) return this.props.children
    return (
      <ProblemNotice
        urgent
        problem={{ title: 'This page broke.', remedy: 'Load it again. Your files and jobs are not affected.' }}
      >
        <button type="button" className="button" onClick={() => window.location.reload()}>
          Load again
        </button>
      </ProblemNotice>
    )
  }
}
