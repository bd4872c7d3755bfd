import { apiPrefix, operations, problems, type Operation } from '@millrace/contract'
import { describe, expect, it } from 'vitest'
import { operationsPage, problemsPage } from './docs-pages.ts'
import { openapiDocument, type JsonObject } from './openapi.ts'

const document = openapiDocument() as {
  openapi: string
  paths: Record<string, Record<string, JsonObject>>
  components: { schemas: JsonObject; responses: JsonObject }
}
const described = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
)

describe('the OpenAPI document', () => {
  it('describes each operation of the contract once, with its path parameters', () => {
    expect(document.openapi).toMatch(/^3\.1\./)
    const ids = described.map(({ operation }) => operation['operationId'] as string)
    expect(ids.toSorted()).toEqual(Object.keys(operations).toSorted())
    for (const { path, method, operation } of described) {
      const row: Operation = operations[operation['operationId'] as keyof typeof operations]
      expect([path, method.toUpperCase()]).toEqual([apiPrefix + row.path, row.method])
      const parameters = operation['parameters'] as { name: string; in: string; required?: boolean }[]
      const inPath = parameters.filter((parameter) => parameter.in === 'path')
      expect(inPath.map(({ name }) => name)).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]))
      expect(inPath.every((parameter) => parameter.required)).toBe(true)
      expect(Object.keys(operation['responses'] as object)).toContain('default')
    }
  })

  it('refers only to what it holds, and is plain JSON', () => {
    const text = JSON.stringify(document)
    expect(JSON.parse(text)).toEqual(document)
    const names = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1])
    expect(names).toContain('Job')
    for (const name of names) expect(Object.keys(document.components.schemas)).toContain(name)
    expect(text).not.toContain('"~')
    expect(text).not.toContain('$id')
  })

  it('is the same each time', () => {
    expect(JSON.stringify(openapiDocument())).toBe(JSON.stringify(openapiDocument()))
  })
})

describe('the pages', () => {
  it('have an anchor for each operation, schema and problem code that anything points to', () => {
    const page = operationsPage()
    for (const id of Object.keys(operations)) expect(page).toContain(`id="${id}"`)
    for (const match of page.matchAll(/href="#([\w-]+)"/g)) expect(page).toContain(`id="${match[1]}"`)
    for (const code of Object.keys(problems)) expect(problemsPage()).toContain(`id="${code}"`)
  })
})
