// docs/reference/planted-bugs.md: what was planted, and what caught it.

import type { Caught } from './arguments.ts'
import { plantedBugs } from './planted-bugs.ts'

export function toBugList(caught: ReadonlyMap<string, Caught>): string {
  const rows = plantedBugs.map(({ name, breaks }) => {
    const { violation, seed, after } = caught.get(name) ?? {}
    return `| \`${name}\` | ${breaks} | ${violation?.invariant ?? 'not caught'} | ${seed ?? ''} | ${after ?? ''} |`
  })
  return `# Planted bugs

Bugs that are planted into a copy of the engine in memory, one at a time, to see that the simulation finds them. Written by
\`npm run simulate -- --bug all --list docs/reference/planted-bugs.md\`. The invariants are listed at the head of
\`server/src/testing/simulation/checker.ts\`; the last number is how many histories of the seed had been played to their end
when it was caught, of which four are played at a time. Seeds are chosen so that these are few: the rarest take up to 1,500
with another one.

| bug | what it breaks | caught by | seed | histories |
| --- | --- | --- | --- | --- |
${rows.join('\n')}
`
}
