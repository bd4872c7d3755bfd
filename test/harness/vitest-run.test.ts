import { describe, expect, test } from 'vitest'
import { readReport, withoutSettings, type VitestReport } from './vitest-run.ts'

const options = { projectFolder: '/project', filter: [] }
const report = (statuses: string[], file: { status?: string; message?: string } = {}): VitestReport => ({
  testResults: [
    {
      name: '/project/a.test.ts',
      status: 'passed',
      assertionResults: statuses.map((status, index) => ({ fullName: `test ${index}`, status })),
      ...file,
    },
  ],
})

describe('reading the report of vitest', () => {
  test('names a test by its file and full name', () => {
    expect(readReport(report(['passed', 'pending']), 0, options)).toEqual({
      cases: [
        { id: 'a.test.ts > test 0', outcome: 'passed' },
        { id: 'a.test.ts > test 1', outcome: 'skipped' },
      ],
      faults: [],
    })
  })

  test('finds a fault in a bad exit that no failed test explains', () => {
    expect(readReport(report(['passed']), 1, options).faults).toEqual(['vitest ended with 1, though no test failed'])
    expect(readReport(report(['passed']), 'SIGKILL', options).faults).toHaveLength(1)
    expect(readReport(report(['failed']), 1, options).faults).toEqual([])
  })

  test('finds a fault in a file that did not load', () => {
    const broken = report([], { status: 'failed', message: 'Cannot find module' })
    expect(readReport(broken, 1, options).faults).toContain('a.test.ts: Cannot find module')
  })

  test('finds a fault in a run without a report and in one without a test', () => {
    expect(readReport(null, 'SIGKILL', options).faults).toHaveLength(1)
    expect(readReport({ testResults: [] }, 0, options).faults).toEqual(['no test was found'])
  })

  test('finds no fault when a filter matches nothing in this suite', () => {
    const filtered = { ...options, filter: ['no-such-file'] }
    expect(readReport({ testResults: [] }, 1, filtered)).toEqual({ cases: [], faults: [] })
  })
})

test('tests do not see settings of the shell', () => {
  const kept = withoutSettings({ PATH: '/bin', DATABASE_URL: 'x', MILLRACE_API_KEY: 'x', AWS_REGION: 'x', PORT: '1' })
  expect(kept).toEqual({ PATH: '/bin' })
})
