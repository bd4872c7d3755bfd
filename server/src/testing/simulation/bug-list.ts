// docs/reference/planted-bugs.md: what was planted, and what caught it.

import type { Caught } from './arguments.ts'
import { plantedBugs } from './planted-bugs.ts'

export function toBugList(seed: number, caught: ReadonlyMap<string, Caught>): string {
  const rows = plantedBugs.map(({ name, breaks }) => {
    const { violation, after } = caught.get(name) ?? {}
    return `| \`${name}\` | ${breaks} | ${violation?.invariant ?? 'not caught'} | ${after ?? ''} |`
  })
  return `# Planted bugs

Bugs that are planted into a copy of the engine in memory, one at a time, to see that the simulation finds them. Written by
\`npm run simulate -- --bug all --seed ${seed} --list docs/reference/planted-bugs.md\`. The invariants are listed at the head of
\`server/src/testing/simulation/checker.ts\`; the number is how many histories had been played to their end when it was
caught, of which four are played at a time.

| bug | what it breaks | caught by | histories |
| --- | --- | --- | --- |
${rows.join('\n')}
`
}
