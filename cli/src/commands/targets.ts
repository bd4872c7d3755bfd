// Where a download goes that the reader did not name.

import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Context } from '../command.ts'
import { usageFailure } from '../failure.ts'

/** What was named with --out, which is replaced; else the name here, which may be that of something already there. */
export function targetOf({ cwd }: Context, out: string | undefined, name: string): string {
  const target = path.resolve(cwd, out ?? name)
  if (out === undefined && existsSync(target))
    throw usageFailure(`${target} exists already.`, 'Name the file to write with --out; that one is replaced.')
  return target
}
