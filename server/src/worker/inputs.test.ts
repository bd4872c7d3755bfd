import { expect, test } from 'vitest'
import { Problem } from '../platform/problem.ts'
import type { TaskAssignment } from '../processing/task.ts'
import type { SealedObject, Vault } from '../storage/vault.ts'
import { writeInputs } from './inputs.ts'
import type { KeptInputs } from './sandbox/kept-inputs.ts'

const object = { objectId: 'a', tenantId: 7, sizeBytes: 4 } as SealedObject // Of it no more is asked.
const task = { tenantId: 7, input: { files: [{ objectId: 'a', name: 'a.txt', sizeBytes: 4 }] } } as TaskAssignment

async function given(requireKey: Vault['requireKey'], findObject = async () => object): Promise<unknown> {
  let isGiven = false
  const give = async () => (isGiven = true)
  const keptInputs: KeptInputs = { has: () => true, give, keep: () => {}, close: () => {} }
  const vault = { requireKey } as Vault
  const options = { folder: 'folder', keptInputs, signal: AbortSignal.abort() }
  const problem = await writeInputs({ vault, findObject }, task, options).then(
    () => undefined,
    (error: unknown) => (error instanceof Problem ? error.code : error),
  )
  return { isGiven, problem }
}

test('what is still kept in clear is given only while its key is there', async () => {
  expect(await given(async () => {})).toEqual({ isGiven: true, problem: undefined })
  const destroyed = () => Promise.reject(new Problem('key_destroyed'))
  expect(await given(destroyed)).toEqual({ isGiven: false, problem: 'key_destroyed' })
  const unknown = () => Promise.reject(new Problem('database_unavailable'))
  expect(await given(unknown)).toEqual({ isGiven: false, problem: 'database_unavailable' })
})

test('what is not kept is read, which opens its key, and so asks for the key once', async () => {
  let keysCount = 0
  const requireKey = async () => void keysCount++
  const read = () => (keysCount++, Promise.reject(new Problem('key_destroyed')))
  const keptInputs: KeptInputs = { has: () => false, give: async () => false, keep: () => {}, close: () => {} }
  const options = { folder: 'folder', keptInputs, signal: AbortSignal.abort() }
  const sources = { vault: { requireKey, read } as unknown as Vault, findObject: async () => object }
  await expect(writeInputs(sources, task, options)).rejects.toMatchObject({ code: 'key_destroyed' })
  expect(keysCount).toBe(1)
})

test('and only to its tenant', async () => {
  const theirs = { ...object, tenantId: 8 }
  expect(
    await given(
      async () => {},
      async () => theirs,
    ),
  ).toEqual({ isGiven: false, problem: 'object_damaged' })
})
