// millrace whoami: for whom these credentials stand, and where.

import { defineCommand } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { printable } from '../text.ts'

export const whoamiCommand = defineCommand({
  summary: 'who the credentials stand for, and on which server',
  async run(_, __, context) {
    const api = await context.api()
    const principal = await api.call('getPrincipal', {})
    if (context.console.json) context.console.printJson({ url: api.url, ...principal })
    else {
      const who = principal.email ?? 'an API key'
      const rights = principal.operator ? `${principal.role}, operator` : principal.role
      context.console.print(
        `${printable(who)} for ${printable(principal.tenant_name)} (${principal.tenant_id}), ${rights}, at ${api.url}`,
      )
    }
    return exitCodes.done
  },
})
