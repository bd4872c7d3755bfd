// millrace keys: list, create, revoke.

import { roles } from '@millrace/contract'
import { listAll } from '../api.ts'
import { defineCommand, readCount, readWord, type CommandGroup } from '../command.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { formatTime } from '../text.ts'
import { listLimitOption, printList } from './list.ts'

const list = defineCommand({
  summary: 'API keys of the tenant',
  options: listLimitOption,
  async run(_, options, context) {
    const limit = readCount('limit', options.limit, 10_000)
    const api = await context.api()
    const time = (at: string | null): string => (at === null ? 'never' : formatTime(at))
    return printList(context.console, listAll(api, 'listApiKeys', {}, limit ?? 50), [
      { title: 'KEY', value: (key) => key.api_key_id },
      { title: 'NAME', value: (key) => key.name },
      { title: 'BEGINS', value: (key) => key.prefix },
      { title: 'ROLE', value: (key) => key.role },
      { title: 'USED', value: (key) => time(key.last_used_at) },
      { title: 'EXPIRES', value: (key) => time(key.expires_at) },
      { title: 'REVOKED', value: (key) => (key.revoked_at === null ? '' : formatTime(key.revoked_at)) },
    ])
  },
})

const create = defineCommand({
  summary: 'create a key; its secret is shown once',
  operands: 'NAME',
  operandsMin: 1,
  options: {
    role: { value: 'ROLE', help: `${roles.join(', ')} (user)` },
    expires: { value: 'TIME', help: 'e.g. 2027-01-31 or 2027-01-31T12:00:00Z; else never' },
  },
  async run([name = ''], options, { api, console }) {
    const role = readWord('role', options.role, roles) ?? 'user'
    const expires = options.expires === undefined ? {} : { expires_at: readTime(options.expires) }
    const key = await (await api()).call('createApiKey', { body: { name, role, ...expires } })
    if (console.json) console.printJson(key)
    else {
      console.note(`${key.api_key_id}, ${key.role}. Store the key now; it is not shown again:`)
      console.print(key.api_key)
    }
    return exitCodes.done
  },
})

const revoke = defineCommand({
  summary: 'revoke a key, at once and for good',
  operands: 'KEY',
  operandsMin: 1,
  async run([keyId = ''], _, { api, console }) {
    await (await api()).call('revokeApiKey', { params: { api_key_id: keyId } })
    if (console.json) console.printJson({ api_key_id: keyId, revoked: true })
    else console.print(`${keyId} is revoked.`)
    return exitCodes.done
  },
})

function readTime(text: string): string {
  const timeMs = Date.parse(text)
  if (!/^\d{4}-\d{2}-\d{2}/.test(text) || Number.isNaN(timeMs))
    throw usageFailure(`--expires is "${text}".`, 'Give a date or a time such as 2027-01-31T12:00:00Z.')
  return new Date(timeMs).toISOString()
}

export const keysCommand: CommandGroup = {
  summary: 'list, create and revoke API keys',
  subcommands: { list, create, revoke },
}
