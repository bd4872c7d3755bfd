import { Problem } from '../platform/problem.ts'

/** The code of the problem that the act throws, "none" when it throws nothing, and anything else as text. */
export const codeOf = (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => 'none',
    (error: unknown) => (error instanceof Problem ? error.code : String(error)),
  )
