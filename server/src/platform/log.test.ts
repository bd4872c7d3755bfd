import { expect, test } from 'vitest'
import { toPlainLine } from './log.ts'

test('a line to be read has the time, the level, the event and what belongs to it', () => {
  const line = {
    level: 'info',
    time: '2026-11-25T18:07:43.118Z',
    role: 'all',
    event: 'leader.taken',
    epoch: 1,
    a: 'b c',
  }
  expect(toPlainLine(JSON.stringify(line))).toBe('18:07:43 info  leader.taken epoch=1 a="b c"\n')
})

test('an error keeps its lines in one', () => {
  const line = {
    level: 'error',
    time: '2026-11-25T18:07:43.118Z',
    event: 'x.failed',
    error: { stack: 'Error: a\n at b' },
  }
  expect(toPlainLine(JSON.stringify(line))).toBe('18:07:43 error x.failed error={"stack":"Error: a\\n at b"}\n')
})
