import { defineRun } from '../processor-run.ts'
import { done } from '../processor.ts'
import { searchIndex, type SearchEntry } from './search-index.ts'

/** What people look for in a result. Counts, sizes and rows would only make everything findable by everything. */
const soughtKeys = new Set(
  'title author subject from to artist album genre make model camera lens software language labels tags keywords category place country city'.split(
    ' ',
  ),
)
/** What is only possible is not looked for. */
const passedOver = new Set(['candidates'])
const valueCharactersMax = 300
const valuesPerKeyMax = 20
const depthMax = 4
const nodesCountMax = 10_000

/**
 * Result: SearchEntry. The entry itself is written by whoever completes the task, in the same transaction. The file's
 * own metadata win over what was found.
 */
export const run = defineRun(searchIndex, async ({ file, results }) => {
  const entry: SearchEntry = { kind: 'search-entry', metadata: { ...foundIn(results), ...file.metadata } }
  return done([], entry)
})

function foundIn(results: Record<string, unknown>): Record<string, string[]> {
  const found = new Map<string, Set<string>>()
  let nodesCount = 0
  const visit = (value: unknown, key: string, depth: number): void => {
    nodesCount += 1
    if (depth > depthMax || nodesCount > nodesCountMax || passedOver.has(key)) return
    if (typeof value === 'string') {
      const text = value.trim().slice(0, valueCharactersMax).toWellFormed()
      if (!soughtKeys.has(key) || text === '') return
      const values = found.get(key) ?? new Set()
      if (values.size < valuesPerKeyMax) found.set(key, values.add(text))
    } else if (Array.isArray(value)) for (const item of value) visit(item, key, depth)
    else if (typeof value === 'object' && value !== null)
      // Cameras write their tags with capitals.
      for (const [name, item] of Object.entries(value)) visit(item, name.toLowerCase(), depth + 1)
  }
  visit(results, '', 0)
  return Object.fromEntries([...found].map(([key, values]) => [key, [...values]]))
}
