import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { findFreePorts } from './server-process.ts'

test('a port that was found free is none that the system gives away', async () => {
  const range = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '49152 65535')
  const firstGivenAway = Number(range.trim().split(/\s+/)[0])
  const ports = await findFreePorts(50)
  expect(new Set(ports).size).toBe(50)
  expect(Math.max(...ports)).toBeLessThan(firstGivenAway)
})

test('ports that were found free can all be listened on', async () => {
  const servers = await Promise.all(
    (await findFreePorts(5)).map(
      (port) =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer()
          server.once('error', reject).listen(port, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  for (const server of servers) server.close()
})
