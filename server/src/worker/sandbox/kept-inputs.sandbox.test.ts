import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { platform, tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../platform/clock.ts'
import { createKeptInputs, type KeptInputs, type KeptObject } from './kept-inputs.ts'

describe.runIf(platform() === 'linux')('kept inputs', () => {
  let folder: string
  let nowMs: number
  let inputs: KeptInputs

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'millrace-kept-'))
    nowMs = 0
    inputs = createKeptInputs({ folder, clock: { ...systemClock, monotonicMs: () => nowMs }, bytesMax: 10 })
  })
  afterEach(async () => {
    inputs.close()
    await rm(folder, { recursive: true })
  })

  const object = (objectId: string, more: Partial<KeptObject> = {}): KeptObject => ({
    objectId,
    tenantId: 7,
    sizeBytes: 4,
    ...more,
  })

  /** As a task's input, which is gone with its task. */
  async function keep(kept: KeptObject): Promise<void> {
    const file = path.join(folder, 'input')
    await writeFile(file, `of ${kept.objectId}`.slice(0, kept.sizeBytes).padEnd(kept.sizeBytes), { mode: 0o400 })
    inputs.keep(kept, file)
    await rm(file)
  }
  /** The content that is given, or nothing. */
  async function given(wanted: KeptObject): Promise<string | undefined> {
    const file = path.join(folder, 'given')
    const isGiven = await inputs.give(wanted, file)
    expect(existsSync(file)).toBe(isGiven)
    if (!isGiven) return undefined
    const content = await readFile(file, 'utf8')
    await rm(file)
    return content
  }
  async function openFiles(): Promise<number> {
    const names = await readdir('/proc/self/fd')
    const targets = await Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')))
    return targets.filter((target) => target.startsWith(folder)).length
  }

  test('are given again and again when the task that had them is over, and have no name meanwhile', async () => {
    await keep(object('a'))
    expect(await readdir(folder)).toEqual([])
    expect([await given(object('a')), await given(object('a'))]).toEqual(['of a', 'of a'])
    expect(await given(object('b'))).toBeUndefined()
  })

  test('are not given to another tenant, for an object of another length, or over another file', async () => {
    await keep(object('a'))
    expect(await given(object('a', { tenantId: 8 }))).toBeUndefined()
    expect(await given(object('a', { sizeBytes: 5 }))).toBeUndefined()
    await writeFile(path.join(folder, 'taken'), 'of another')
    expect(await inputs.give(object('a'), path.join(folder, 'taken'))).toBe(false)
    expect(await readFile(path.join(folder, 'taken'), 'utf8')).toBe('of another')
  })

  test('that were used longest ago make room', async () => {
    await keep(object('a'))
    await keep(object('b'))
    await given(object('a'))
    await keep(object('c'))
    await keep(object('d', { sizeBytes: 11 }))
    expect(await Promise.all(['b', 'd'].map((id) => given(object(id))))).toEqual([undefined, undefined])
    expect([await given(object('a')), await given(object('c'))]).toEqual(['of a', 'of c'])
    expect(await openFiles()).toBe(2)
  })

  test('are forgotten after a while, and at the end', async () => {
    await keep(object('a'))
    nowMs = 59_000
    await keep(object('b'))
    nowMs = 61_000
    expect([await given(object('a')), await given(object('b'))]).toEqual([undefined, 'of b'])
    expect(await openFiles()).toBe(1)
    inputs.close()
    expect(await openFiles()).toBe(0)
  })

  test('that are forgotten while they are given are given whole', async () => {
    await keep(object('a'))
    const giving = inputs.give(object('a'), path.join(folder, 'given'))
    inputs.close()
    expect(await giving).toBe(true)
    expect(await readFile(path.join(folder, 'given'), 'utf8')).toBe('of a')
    expect(await openFiles()).toBe(0)
  })
})
