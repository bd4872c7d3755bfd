// The port to listen on when none was asked for: 8080, or the next one that is free.

import { createServer } from 'node:net'
import { Problem } from '../platform/problem.ts'

const portDefault = 8080
const portsTriedMax = 100

/** Throws Problem('setting_invalid') when the port that was asked for is taken. */
export async function choosePort(host: string, wanted: number | undefined): Promise<number> {
  if (wanted !== undefined) {
    const failure = await whyNot(host, wanted)
    if (failure) throw new Problem('setting_invalid', { detail: `--port ${wanted} on ${host}: ${failure}.` })
    return wanted
  }
  for (let port = portDefault; port < portDefault + portsTriedMax; port++) {
    if (!(await whyNot(host, port))) return port
  }
  throw new Problem('setting_invalid', {
    detail: `No port from ${portDefault} to ${portDefault + portsTriedMax - 1} is free; name one with --port.`,
  })
}

function whyNot(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'EADDRINUSE' ? 'the port is in use' : error.message),
    )
    probe.listen({ host, port }, () => probe.close(() => resolve(undefined)))
  })
}
