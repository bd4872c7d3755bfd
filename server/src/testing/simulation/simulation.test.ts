import { execFile } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { plantedBugs } from './planted-bugs.ts'
import { chooseFaults } from './faults.ts'
import { History } from './history.ts'
import { createRandom } from './random.ts'
import { SimulatedProcess } from './simulated-process.ts'
import { SimulatedTime } from './simulated-time.ts'
import { mutate, smallBounds } from './variants.ts'

const serverFolder = new URL('../../', import.meta.url)
const listFile = new URL('../../../../docs/reference/planted-bugs.md', import.meta.url)

/** The command, as a person runs it: it changes source on its way from the disk, which a test's own imports do not see. */
const simulate = (...args: string[]): Promise<{ code: number; output: string }> =>
  new Promise((resolve) => {
    const main = fileURLToPath(new URL('./main.ts', import.meta.url))
    const options = { maxBuffer: 64e6 }
    execFile(process.execPath, [main, ...args], options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : 1, output: stdout + stderr }),
    )
  })

describe('simulated time', () => {
  it('goes from event to event, in the order of their moments and then of their asking', () => {
    const time = new SimulatedTime()
    const seen: string[] = []
    const note = (name: string) => () => void seen.push(`${name} ${time.nowMs}`)
    const cancelled = time.after(1, note('cancelled'))
    time.after(5, note('c'))
    time.after(2, note('a'))
    time.after(2, note('b'))
    cancelled.cancelled = true
    while (time.step());
    expect(seen).toEqual(['a 2', 'b 2', 'c 5'])
  })

  it('throws the same dice for the same seed', () => {
    const throws = (seed: number): number[] => {
      const random = createRandom(seed)
      return Array.from({ length: 5 }, () => random.next())
    }
    expect(throws(7)).toEqual(throws(7))
    expect(throws(7)).not.toEqual(throws(8))
    expect(throws(2 ** 40 + 7)).not.toEqual(throws(7))
  })
})

describe('a simulated process', () => {
  it('hears of nothing any more when it has ended, so that it need not be kept', () => {
    const random = createRandom(1)
    const time = new SimulatedTime()
    const history = new History(() => time.nowMs, { isTraced: false })
    const process = new SimulatedProcess(1, { time, random, history, faults: chooseFaults(random) }, () => {})
    const { signal } = new AbortController()
    void process.clock.sleep(1_000, signal)
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    process.end()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})

describe('the engine in simulated time', () => {
  it('keeps every invariant in every history', { timeout: 120_000 }, async () => {
    const { code, output } = await simulate('--seed', '1', '--histories', '1000000', '--minutes', '0.25')
    expect(output).toContain('no invariant was violated')
    expect(code).toBe(0)
  })

  it('plays a history again bit by bit', { timeout: 120_000 }, async () => {
    const hashOf = async (): Promise<string | undefined> =>
      /hash ([0-9a-f]{16})/.exec((await simulate('--seed', '5', '--replay', '17')).output)?.[1]
    const hash = await hashOf()
    expect(hash).toBeDefined()
    expect(await hashOf()).toBe(hash)
  })

  it('says which history to play again when it finds something', { timeout: 120_000 }, async () => {
    const { code, output } = await simulate('--seed', '3', '--histories', '200', '--bug', 'lose-a-decrement')
    expect(code).toBe(1)
    const [, command] = /npm run simulate -- (--seed 3 --replay \d+ --bug lose-a-decrement)/.exec(output) ?? []
    expect((await simulate(...(command ?? '').split(' '))).output).toContain('VIOLATED I9b')
  })
})

describe('planted bugs', () => {
  it('fit the source they are planted into, and are told in the list', async () => {
    const list = await readFile(listFile, 'utf8')
    for (const { name, mutations } of plantedBugs) {
      expect(list).toContain(`\`${name}\``)
      for (const mutation of [...mutations, ...smallBounds]) {
        const text = await readFile(new URL(mutation.file, serverFolder), 'utf8')
        expect(() => mutate(text, mutation)).not.toThrow()
      }
    }
    expect(new Set(plantedBugs.map(({ name }) => name)).size).toBe(plantedBugs.length)
    expect(plantedBugs.length).toBeGreaterThanOrEqual(40)
  })

  it('are caught, every one', { timeout: 600_000 }, async () => {
    const { code, output } = await simulate('--bug', 'all')
    expect(output.split('\n').filter((line) => line.startsWith('MISSED'))).toEqual([])
    expect(code).toBe(0)
  })
})
