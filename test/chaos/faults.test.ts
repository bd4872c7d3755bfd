import { expect, test } from 'vitest'
import { faults } from './faults.ts'
import type { Rig } from './rig.ts'

test.each([
  ['store-restart', 'store'],
  ['pg-restart', 'postgres'],
  ['pg-read-only', 'setting'],
])('what %s undoes is its own, so that the other fault of a pair lasts', async (name, own) => {
  const undone: string[] = []
  const servers = {
    process: (server: string) => ({
      end: async () => {},
      startAgain: async () => void undone.push(server),
    }),
    query: async () => [],
    allowWrites: async () => void undone.push('setting'),
    heal: async () => void undone.push('all'),
  }
  await faults.find((fault) => fault.name === name)?.run({ servers } as unknown as Rig)
  expect(undone).toEqual([own])
})
