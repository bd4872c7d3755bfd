import { expect, test } from 'vitest'
import { createSlots } from './slots.ts'

/** Work that ends when it is told to; notes when it begins. */
function openSlots(count: number) {
  const slots = createSlots(count)
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  const use = (name: string, options: { next?: boolean; controller?: AbortController } = {}) =>
    slots.use(
      () => {
        begun.push(name)
        return new Promise<string>((resolve) => ends.set(name, () => resolve(name)))
      },
      { signal: (options.controller ?? new AbortController()).signal, next: options.next ?? false },
    )
  const end = async (name: string, ended: Promise<string>) => {
    await expect.poll(() => ends.has(name)).toBe(true)
    ends.get(name)?.()
    await ended
  }
  return { slots, begun, use, end }
}

test('so many run at a time, the others in their order, but for one that goes before them', async () => {
  const { slots, begun, use, end } = openSlots(2)
  const [a, b, c, , e] = [use('a'), use('b'), use('c'), use('d'), use('e', { next: true })]
  expect(begun).toEqual([])
  await end('a', a)
  expect(slots.busyCount).toBe(2)
  await end('b', b)
  await end('e', e)
  await end('c', c)
  await expect.poll(() => begun).toEqual(['a', 'b', 'e', 'c', 'd'])
  expect(slots.busyCount).toBe(1)
})

test('what is told to stop while it waits goes on without a slot, and takes none', async () => {
  const { slots, begun, use, end } = openSlots(1)
  const controller = new AbortController()
  const [a, b, c] = [use('a'), use('b', { controller }), use('c')]
  controller.abort()
  await end('b', b)
  expect(begun).toEqual(['a', 'b'])
  expect(slots.busyCount).toBe(1)
  await end('a', a)
  await end('c', c)
  expect(slots.busyCount).toBe(0)
  await end('d', use('d', { controller }))
})

test('work that fails lets go of its slot', async () => {
  const slots = createSlots(1)
  const { signal } = new AbortController()
  const fails = (): Promise<never> => Promise.reject(new Error('no'))
  await expect(slots.use(fails, { signal })).rejects.toThrow('no')
  expect(await slots.use(async () => 'yes', { signal })).toBe('yes')
})
