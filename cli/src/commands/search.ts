// millrace search: names, metadata and extracted text.

import { listAll } from '../api.ts'
import { defineCommand, readCount } from '../command.ts'
import { listLimitOption, printList } from './list.ts'

export const searchCommand = defineCommand({
  summary: 'find files by name, metadata or text',
  operands: 'WORDS…',
  operandsMin: 1,
  operandsMax: Number.POSITIVE_INFINITY,
  options: { type: { value: 'TYPE', help: 'only files of this content type' }, ...listLimitOption },
  async run(words, options, context) {
    const limit = readCount('limit', options.limit, 10_000)
    const api = await context.api()
    const query = { q: words.join(' '), content_type: options.type }
    return printList(context.console, listAll(api, 'search', query, limit ?? 20), [
      { title: 'FILE', value: (hit) => hit.file_id },
      { title: 'NAME', value: (hit) => hit.name, columnsMax: 40 },
      { title: 'FOUND', value: (hit) => aroundFound(hit.snippet ?? ''), columnsMax: snippetCharactersMax + 10 },
    ])
  },
})

const snippetCharactersMax = 80
const charactersBefore = 30

/** The part of a snippet in which the first found word stands. */
function aroundFound(snippet: string): string {
  const words = snippet.replaceAll(/\s+/g, ' ').trim()
  const start = Math.max(words.indexOf('«') - charactersBefore, 0)
  const end = start + snippetCharactersMax
  return `${start > 0 ? '…' : ''}${words.slice(start, end).toWellFormed()}${end < words.length ? '…' : ''}`
}
