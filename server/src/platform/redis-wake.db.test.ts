import { expect, it, test } from 'vitest'
import { openFaultProxy } from '../testing/fault-proxy.ts'
import { openTestRedis, testRedisUrl } from '../testing/redis.ts'
import { systemIds } from './ids.ts'
import { silentLog } from './log.ts'
import { createRedisWakeBus } from './redis-wake.ts'
import { openRedis } from './redis.ts'
import { describeWakeBus } from './wake.contract.ts'

const server = testRedisUrl()

/** A bus as a process has it, over connections of its own. */
async function openBus(url: string) {
  const redis = await openRedis({ url, log: silentLog })
  const bus = createRedisWakeBus({ redis, ids: systemIds })
  const close = async (): Promise<void> => {
    await bus.close()
    await redis.close()
  }
  return { bus, close }
}

if (server === undefined) {
  test('no Redis server is named in MILLRACE_TEST_REDIS_URL', () => {
    expect(server).toBeUndefined()
  })
} else {
  describeWakeBus('wakes between processes over Redis', async () => {
    const { url, client } = await openTestRedis(server)
    const [here, there] = [await openBus(url), await openBus(url)]
    await expect.poll(async () => (await client.pubsub('NUMSUB', '{millrace}:wake'))[1]).toBe(2)
    // Each has woken its listeners once on subscribing, which nobody has heard yet.
    await new Promise((resolve) => setImmediate(resolve))
    return {
      buses: [here.bus, there.bus],
      close: async () => {
        await Promise.all([here.close(), there.close()])
        client.disconnect()
      },
    }
  })

  it('what was missed while Redis was away is made good by one wake, and wakes at home never need it', async () => {
    const { url, client } = await openTestRedis(server)
    const { hostname, port } = new URL(server)
    const proxy = await openFaultProxy({ host: hostname, port: Number(port) })
    const through = new URL(url)
    through.port = String(proxy.port)
    const here = await openBus(url)
    const there = await openBus(through.href)
    const heard = { there: 0 }
    there.bus.listen('ready', () => void (heard.there += 1))
    here.bus.wake('ready')
    await expect.poll(() => heard.there).toBeGreaterThan(0)
    const before = heard.there
    proxy.cut()
    here.bus.wake('ready')
    await expect.poll(() => heard.there).toBeGreaterThan(before)
    proxy.freeze()
    const frozen = heard.there
    for (let times = 0; times < 100; times += 1) there.bus.wake('ready')
    await expect.poll(() => heard.there).toBe(frozen + 1)
    proxy.thaw()
    await Promise.all([here.close(), there.close()])
    await proxy.close()
    client.disconnect()
  })
}
