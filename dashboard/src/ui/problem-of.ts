import type { NoticeProblem } from './problem-notice.tsx'

/** Whatever was thrown, in words for a person. */
export function problemOf(error: unknown): NoticeProblem {
  if (error instanceof Error && 'problem' in error && isProblem(error.problem)) return error.problem
  if (error instanceof TypeError) {
    return { title: 'The server cannot be reached.', remedy: 'Check the connection; the page goes on by itself.' }
  }
  const title = error instanceof Error ? error.message : 'Something went wrong on this page.'
  return { title, remedy: 'Try again.' }
}

function isProblem(value: unknown): value is NoticeProblem {
  return typeof value === 'object' && value !== null && 'title' in value && 'remedy' in value
}
