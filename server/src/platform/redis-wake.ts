// Wakes between processes, by publishing in Redis. Within the process they go their local way and need no Redis; what
// is lost while Redis is away is made good by one wake of everything when it is back.

import { createLocalWakeBus, wakeTopics, type WakeBus, type WakeTopic } from './wake.ts'
import type { Ids } from './ids.ts'
import type { RedisConnection } from './redis.ts'

/** A subscription over a connection that died silently would stay deaf. */
const heartbeatMs = 10_000

export interface RedisWakeBus extends WakeBus {
  close(): Promise<void>
}

export function createRedisWakeBus(deps: { redis: RedisConnection; ids: Ids; prefix?: string }): RedisWakeBus {
  const { redis, ids } = deps
  const channel = `${deps.prefix ?? '{millrace}'}:wake`
  const local = createLocalWakeBus()
  const origin = ids.randomHex(8)
  const subscriber = redis.duplicate()

  const wakeAll = (): void => {
    for (const topic of wakeTopics) local.wake(topic)
  }
  const subscribe = async (): Promise<void> => {
    await subscriber.subscribe(channel)
    wakeAll()
  }
  // A failed attempt ends with its connection, and the next one subscribes again.
  subscriber.on('ready', () => void subscribe().catch(() => {}))
  subscriber.on('message', (_, message: string) => {
    const [from, topic] = message.split(' ')
    if (from !== origin && isTopic(topic)) local.wake(topic)
  })
  const heartbeat = setInterval(() => {
    if (subscriber.status !== 'ready') return
    const deaf = setTimeout(() => subscriber.disconnect(true), heartbeatMs / 2)
    subscriber.ping().then(
      () => clearTimeout(deaf),
      () => clearTimeout(deaf),
    )
  }, heartbeatMs)
  heartbeat.unref()

  /** At most one message per topic is on its way; a wake meanwhile sends another one after it. */
  const sending = new Map<WakeTopic, 'once' | 'again'>()
  async function publish(topic: WakeTopic): Promise<void> {
    if (sending.has(topic)) return void sending.set(topic, 'again')
    sending.set(topic, 'once')
    // The wakes of one turn of the event loop are one message.
    await new Promise((resolve) => setImmediate(resolve))
    sending.set(topic, 'once')
    await redis.call((client) => client.publish(channel, `${origin} ${topic}`)).catch(() => {})
    const again = sending.get(topic) === 'again'
    sending.delete(topic)
    if (again) await publish(topic)
  }

  return {
    wake(topic) {
      local.wake(topic)
      void publish(topic)
    },
    listen: (topic, listener) => local.listen(topic, listener),
    close: async () => {
      clearInterval(heartbeat)
      subscriber.disconnect()
    },
  }
}

const isTopic = (text: string | undefined): text is WakeTopic => (wakeTopics as readonly string[]).includes(text ?? '')
