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
      { title: 'FOUND', value: (hit) => hit.snippet ?? '', columnsMax: 90 },
    ])
  },
})
