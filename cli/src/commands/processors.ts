// millrace processors: what can be done to a file here.

import { defineCommand } from '../command.ts'
import { printList } from './list.ts'

export const processorsCommand = defineCommand({
  summary: 'the processors that steps can use',
  async run(_, __, context) {
    const { items } = await (await context.api()).call('listProcessors', {})
    return printList(context.console, items.values(), [
      { title: 'PROCESSOR', value: (processor) => processor.name },
      { title: 'STAGE', value: (processor) => processor.stage },
      { title: 'VERSION', value: (processor) => String(processor.version), align: 'right' },
      {
        title: 'HERE',
        value: (processor) => (processor.available ? 'yes' : `no: ${processor.unavailable_reason ?? 'not said why'}`),
      },
      { title: 'SUMMARY', value: (processor) => processor.summary, columnsMax: 90 },
    ])
  },
})
