// How every list is told: a table for people, a document with all items for programs.

import type { Console } from '../console.ts'
import { exitCodes, type ExitCode } from '../failure.ts'
import { tableLines, type Column } from '../text.ts'

export const listLimitOption = { limit: { value: 'N', help: 'at most so many (50)' } } as const

export async function printList<Row>(
  console: Console,
  rows: AsyncIterable<Row> | Iterable<Row>,
  columns: readonly Column<Row>[],
): Promise<ExitCode> {
  const items = await Array.fromAsync(rows)
  if (console.json) console.printJson({ items })
  else if (items.length === 0) console.note('There are none.')
  else
    for (const [index, line] of tableLines(items, columns).entries())
      console.print(index === 0 ? console.style('bold', line) : line)
  return exitCodes.done
}
