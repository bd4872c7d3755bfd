import { describe, expect, it } from 'vitest'
import { evaluateCondition, parseCondition, type ConditionFacts } from './condition.ts'

const facts: ConditionFacts = {
  file: { name: 'a.csv', content_type: 'text/csv', size_bytes: 2_500_000, metadata: { a: 1 }, depth: 0 },
  steps: {
    text: {
      outputs: [{ name: 'a.txt', content_type: 'text/plain', size_bytes: 12 }],
      result: { rows: 10, ratio: 0.5 },
      state: 'succeeded',
    },
    'page-1': { outputs: [], result: null, state: 'skipped' },
  },
}

describe('a condition', () => {
  it.each([
    ['size(text.outputs) > 0', true],
    ['size(steps["page-1"].outputs) == 0', true],
    ['text.result.rows + 1 == 11', true],
    ['text.result.rows > 9.5 && text.result.ratio < 0.6', true],
    ['file.content_type == "text/csv" && file.size_bytes > 3000000', false],
    ['has(text.result.nope)', false],
    ['"a" in file.metadata', true],
    ['text.outputs.exists(o, o.name.endsWith(".txt"))', true],
    ['steps["page-1"].state == "skipped"', true],
  ])('%s is %s', (text, holds) => {
    expect(evaluateCondition(text, facts)).toEqual({ holds })
  })

  it.each([
    ['1 +', 'EOF'],
    ['nowhere.outputs == []', 'Unknown variable: nowhere'],
    ['size(text.outputs)', 'not a bool'],
    ['file.name.matches("(a+)+$")', 'not allowed'],
    ['text.outputs.exists(a, text.outputs.exists(b, a == b))', 'inside another'],
    ['true || '.repeat(300) + 'true', 'longer'],
    [' ', 'empty'],
    ['file.sise_bytes > 3', '"sise_bytes" is no field of file. Did you mean "size_bytes"?'],
    ['has(file.owner)', 'Known here: name, content_type, size_bytes, metadata, depth.'],
    ['size(text.output) > 0', '"output" is no field of a step. Did you mean "outputs"?'],
    ['steps["text"].sum == 1', '"sum" is no field of a step. Known here: outputs, result, state.'],
    ['steps.txet.state == "skipped"', '"steps" knows those of "needs" only, and "txet" is none. Did you mean "text"?'],
  ])('%s is refused', (text, reason) => {
    expect(parseCondition(text, ['text'])).toEqual({ error: expect.stringContaining(reason) })
  })

  it.each(['text.result.nope > 1', 'text.result.rows', 'text.result.rows.x == 1'])(
    '%s answers with an error instead of throwing',
    (text) => {
      expect(evaluateCondition(text, facts)).toEqual({ error: expect.any(String) })
      expect(parseCondition(text, ['text'])).not.toHaveProperty('error')
    },
  )
})
