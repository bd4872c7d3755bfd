// Files that go wrong: each ends with a reason that its owner understands, or is refused, and disturbs nobody.

import { ApiProblem, problems, type Client, type ProblemCode } from '@millrace/contract'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { badFiles, hostileNames } from '../fixtures/bad-files.ts'
import { bytesOf, type Fixture } from '../fixtures/fixture.ts'
import { goodFiles } from '../fixtures/good-files.ts'
import { openHouse, type House } from './house.ts'
import { forEachAtOnce, runFile, untilEnded, upload } from './jobs.ts'
import { proveHealthy } from './proof.ts'

const uploadsAtOnce = 4
/** Codes that tell of our failure, not of the file's fault. */
const ourFaults = new Set<ProblemCode>(['internal', 'processor_crashed', 'worker_lost', 'output_invalid'])

let house: House
let client: Client
const outcomes = new Map<string, { jobId: string } | { refused: ApiProblem }>()

beforeAll(async () => {
  house = await openHouse()
  client = house.client
  await forEachAtOnce(badFiles, uploadsAtOnce, async (file) => {
    try {
      const { job_id: jobId } = await upload(client, { name: file.name, bytes: await bytesOf(file) })
      outcomes.set(file.name, { jobId })
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error
      outcomes.set(file.name, { refused: error })
    }
  })
}, 180_000)
afterAll(() => house?.close())

const titleOf = (name: string): string =>
  name.length > 60 ? `${name.slice(0, 40)}… (${name.length})` : JSON.stringify(name)

describe('every bad file', () => {
  test.each(badFiles.map((file): [string, Fixture] => [titleOf(file.name), file]))(
    '%s ends as it should',
    async (_, file) => {
      const outcome = outcomes.get(file.name)
      const { expected } = file
      if ('refused' in expected) {
        if (!outcome || !('refused' in outcome)) throw new Error('it was not refused')
        const { problem } = outcome.refused
        expect(problem).toMatchObject({ code: expected.refused, status: problems[expected.refused].status })
        expect(problem.remedy).toBe(problems[expected.refused].remedy)
        return
      }
      if (!outcome || !('jobId' in outcome)) throw new Error('it was refused', { cause: outcome?.refused.problem })
      const job = await untilEnded(client, outcome.jobId)
      expect([expected.ends].flat()).toContain(job.status)
      if (job.status === 'completed') return
      const reasons = [job.problem, ...job.steps.map((step) => step.problem)].filter((problem) => problem !== null)
      expect(reasons.length, 'a reason is given').toBeGreaterThan(0)
      for (const problem of reasons) {
        expect(expected.problems).toContain(problem.code)
        expect(ourFaults).not.toContain(problem.code)
        expect(problem.remedy.length).toBeGreaterThan(0)
        expect(`${problem.title} ${problem.detail ?? ''}`, 'in words, not a stack').not.toMatch(
          /\bat .+:\d+:\d+|node_modules|\/tmp\/|Error:/,
        )
      }
      for (const step of job.steps.filter(({ state }) => state === 'failed')) {
        expect(step.attempts, `${step.name} is not tried again in vain`).toBe(1)
      }
    },
  )
})

describe('the house afterwards', () => {
  test('has kept every name exactly', async () => {
    for (const name of hostileNames) {
      const outcome = outcomes.get(name)
      const job = await untilEnded(client, outcome && 'jobId' in outcome ? outcome.jobId : '')
      expect(job.file_name).toBe(name)
      const response = await client.fetchPath(`/api/v1/files/${job.file_id}/content`)
      expect(response.headers.get('content-disposition')).toMatch(/^attachment; filename="[\x20-\x7e]{1,255}"/)
      await response.arrayBuffer()
    }
  })

  test('processes the next file as if nothing had been', async () => {
    const file = goodFiles[0]
    if (!file) throw new Error('there is a good file')
    expect(await runFile(client, { name: file.name, bytes: await bytesOf(file) })).toMatchObject({
      status: 'completed',
    })
    await proveHealthy(client)
  })
})
