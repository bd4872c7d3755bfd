// The OpenAPI 3.1 document, computed from the contract: what is not an operation there is not in here.

import {
  apiPrefix,
  operations,
  problems,
  roles,
  type Operation,
  type OperationId,
  type ProblemCode,
} from '@millrace/contract'
import { ProblemResource } from '@millrace/contract'
import { policy, type Rule } from './policy.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

const tags: Record<string, string> = {
  identity: 'Signing in, API keys, and who is asking.',
  files: 'Uploading, reading, versioning and searching files.',
  uploads: 'Files that arrive in more than one request: resumable (tus 1.0), in parts, and fetched from elsewhere.',
  jobs: 'Runs of pipelines over files, their steps and outputs.',
  events: 'Live events (server-sent events), resumable.',
  pipelines: 'What is done to files: definitions and the processors they are made of.',
  admin: 'The installation; for its operator.',
  downloads: 'Zips of several files, and links that open one without credentials.',
  batches: 'One pipeline over many files.',
  schedules: 'Batches by the clock.',
}

/** The whole document. Pure: the same contract gives the same text. */
export function openapiDocument(): JsonObject {
  const components = new Map<string, Json>()
  const paths: Record<string, JsonObject> = {}
  for (const [id, operation] of Object.entries(operations) as [OperationId, Operation][]) {
    const item = (paths[apiPrefix + operation.path] ??= {})
    item[operation.method.toLowerCase()] = describeOperation(id, operation, components)
  }
  const problem = toJsonSchema(ProblemResource, components)
  return {
    openapi: '3.1.1',
    info: {
      title: 'Millrace',
      version: '1',
      summary: 'Self-hosted file processing: upload files, run pipelines over them, get the results.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }],
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key (mr_live_…) or an access token.' },
      },
      responses: {
        Problem: {
          description: 'Every answer that is not a success (RFC 9457); the codes are listed at /docs/problems.',
          content: { 'application/problem+json': { schema: problem } },
        },
      },
      schemas: Object.fromEntries([...components].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    },
  }
}

function describeOperation(id: OperationId, operation: Operation, components: Map<string, Json>): JsonObject {
  const rule: Rule = policy[id]
  return {
    operationId: id,
    tags: [operation.tag],
    summary: operation.summary,
    description: whoMay(rule),
    ...(rule.allow === 'public' ? { security: [] } : {}),
    parameters: [
      ...parametersOf('path', operation.params, components),
      ...parametersOf('query', operation.query, components),
      ...(operation.responseType === 'text/event-stream' ? [lastEventId] : []),
      ...(operation.responseType === 'application/octet-stream' ? [range] : []),
    ],
    ...requestBodyOf(operation, components),
    responses: {
      [String(operation.status)]: successOf(operation, components),
      ...(operation.responseType === 'application/octet-stream'
        ? { '206': bytes('The range that was asked for.') }
        : {}),
      default: { $ref: '#/components/responses/Problem' },
    },
  }
}

function whoMay(rule: Rule): string {
  if (rule.allow === 'public') return 'Needs no credentials.'
  if (rule.allow === 'operator') return 'For the operator of the installation.'
  return rule.roles.length === roles.length ? 'For every role.' : `For the roles ${rule.roles.join(', ')}.`
}

const lastEventId: JsonObject = {
  name: 'Last-Event-ID',
  in: 'header',
  description: 'Id of the last event that was received; the stream goes on after it.',
  schema: { type: 'string' },
}
const range: JsonObject = {
  name: 'Range',
  in: 'header',
  description: 'RFC 9110, section 14.',
  schema: { type: 'string' },
}
const bytes = (description: string): JsonObject => ({
  description,
  content: { 'application/octet-stream': {} },
})

function parametersOf(place: 'path' | 'query', schema: unknown, components: Map<string, Json>): Json[] {
  if (!schema) return []
  // Parameters are declared as Type.Object, so there are properties.
  const { properties, required } = toJsonSchema(schema, components) as { properties: JsonObject; required?: string[] }
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: required?.includes(name) ?? false,
    schema: property,
  }))
}

const formSchema: JsonObject = {
  type: 'object',
  required: ['file'],
  properties: {
    pipeline: { type: 'string', description: "Name of a pipeline; left out, the tenant's default for the type." },
    metadata: { type: 'string', description: 'JSON object of your own keys and values.' },
    priority: { type: 'string', enum: ['interactive', 'normal', 'bulk'] },
    file: { type: 'string', contentMediaType: 'application/octet-stream', description: 'The last part of the form.' },
  },
}

function requestBodyOf(operation: Operation, components: Map<string, Json>): JsonObject | undefined {
  const { bodyType } = operation
  if (bodyType !== undefined && bodyType !== 'multipart/form-data')
    return { requestBody: { required: bodyType === '*/*', content: { [bodyType]: {} } } }
  const schema = bodyType ? formSchema : operation.body && toJsonSchema(operation.body, components)
  if (schema === undefined) return undefined
  return { requestBody: { required: true, content: { [operation.bodyType ?? 'application/json']: { schema } } } }
}

function successOf(operation: Operation, components: Map<string, Json>): JsonObject {
  if (operation.responseType === 'application/octet-stream') return bytes('The content.')
  if (!operation.response) return { description: 'Done.' }
  const schema = toJsonSchema(operation.response, components)
  return {
    description: operation.responseType ? 'One event per data field.' : 'Success.',
    content: { [operation.responseType ?? 'application/json']: { schema } },
  }
}

/** A TypeBox schema as plain JSON; schemas with an $id become components and are referred to. */
function toJsonSchema(schema: unknown, components: Map<string, Json>): Json {
  if (Array.isArray(schema)) return schema.map((item) => toJsonSchema(item, components))
  if (typeof schema !== 'object' || schema === null) {
    // Functions and symbols cannot stand in a schema, so what is left is JSON already.
    return schema as Json
  }
  const { $id, ...rest } = schema as Record<string, unknown>
  const plain: JsonObject = {}
  for (const [key, value] of Object.entries(rest)) {
    if (!key.startsWith('~') && value !== undefined) plain[key] = toJsonSchema(value, components)
  }
  if (typeof $id !== 'string') return plain
  components.set($id, plain)
  return { $ref: `#/components/schemas/${$id}` }
}

/** The problem table in the order of the contract, for the page at /docs/problems. */
export const problemCodes = Object.keys(problems) as ProblemCode[]
