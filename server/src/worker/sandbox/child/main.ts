// The program inside the sandbox: answers requests of the supervisor one after another. It loads the work of a
// processor when that is asked for, so that libraries stay warm for the tenant's next task.
// Usage: node main.ts RUNS_FILE; descriptor 3 is the line to the supervisor.

import { Socket } from 'node:net'
import { pathToFileURL } from 'node:url'
import type { SandboxedProcessor } from '../../../pipeline/processor.ts'
import { readyLine, type ChildReply, type ChildRequest } from '../protocol.ts'

type Runs = Record<string, (() => Promise<{ run: SandboxedProcessor }>) | undefined>

const { runs } = (await import(pathToFileURL(process.argv[2] ?? '').href)) as { runs: Runs }

const line = new Socket({ fd: 3, readable: true, writable: true })
let received = ''
line.setEncoding('utf8')
line.on('data', (text: string) => {
  received += text
  for (let end = received.indexOf('\n'); end >= 0; end = received.indexOf('\n')) {
    const request = JSON.parse(received.slice(0, end)) as ChildRequest
    received = received.slice(end + 1)
    void answer(request)
  }
})
// The supervisor has gone: there is nobody left to work for.
line.on('end', () => process.exit(0))
line.on('error', () => process.exit(0))
// A rejection that nobody awaits belongs to the processor and must not pass for a clean end.
process.on('unhandledRejection', (error) => {
  throw error
})
line.write(`${readyLine}\n`)

async function answer({ token, processor, run }: ChildRequest): Promise<void> {
  let reply: ChildReply
  try {
    const load = runs[processor]
    if (load === undefined) throw new Error('There is no such processor in this release')
    const work = await load()
    const outcome = await work.run(run)
    reply = { token, rssBytes: process.memoryUsage.rss(), outcome }
  } catch (error) {
    reply = { token, rssBytes: process.memoryUsage.rss(), crashed: briefly(error) }
  }
  line.write(`${JSON.stringify(reply)}\n`)
}

/** Name, message and the first place in our own code: enough to find a bug, little of the file. */
function briefly(error: unknown): string {
  if (!(error instanceof Error)) return 'threw something that is no error'
  const place = /\/((?:server|contract)\/src\/[^\s)]+)/.exec(error.stack ?? '')?.[1]
  return `${error.name}: ${error.message.slice(0, 200)}${place === undefined ? '' : ` (${place})`}`
}
