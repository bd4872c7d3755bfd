import { stageNames } from '@millrace/contract'
import { Value } from 'typebox/value'
import { describe, expect, it } from 'vitest'
import type { Processor } from './processor.ts'
import { processors } from './registry.ts'

describe.each(Object.entries<Processor>(processors))('%s', (name, processor) => {
  it('is registered under its own name, in a stage, with figures that bound it', () => {
    expect(processor.name).toBe(name)
    expect(name).toMatch(/^[a-z]+\.[a-z]+$/)
    expect(stageNames).toContain(processor.stage)
    expect(processor.summary).toMatch(/^[A-Z].+\.$/)
    expect(processor.accepts.every((pattern) => /^[a-z*]+\/[a-z0-9.+*-]+$/.test(pattern))).toBe(true)
    const { limits, cost, version } = processor
    expect([limits.memoryBytes, limits.timeoutMs, cost.baseMs, version].every((figure) => figure > 0)).toBe(true)
  })

  it('has room for itself in a warm child, which may hold 768 MiB of other libraries when it begins', () => {
    if (processor.isolation === 'warm') expect(processor.limits.memoryBytes).toBeGreaterThanOrEqual(1024 ** 3)
  })

  it('describes its parameters, knows no others, and has defaults that fit', () => {
    const { parameters } = processor
    expect(parameters).toMatchObject({ type: 'object', additionalProperties: false })
    for (const [key, schema] of Object.entries(parameters.properties)) {
      expect(key).toMatch(/^[a-z][a-z0-9_]*$/)
      const { default: value, description } = schema as { default?: unknown; description?: string }
      expect(description, `parameter ${key} has no description`).toBeTruthy()
      if (value !== undefined) expect(Value.Check(schema, Value.Default(schema, structuredClone(value)))).toBe(true)
    }
  })
})
