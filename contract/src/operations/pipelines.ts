// What is done to files: pipelines, and the processors that they are made of.

import { Type } from 'typebox'
import { PipelineResource, ProcessorResource } from '../resources/pipeline.ts'
import { FieldError } from '../resources/problem.ts'
import { List, page, type Operation } from './operation.ts'

export const pipelineOperations = {
  listPipelines: {
    method: 'GET',
    path: '/pipelines',
    tag: 'pipelines',
    summary: 'Newest version of each pipeline',
    query: Type.Object(page),
    status: 200,
    response: List(PipelineResource),
  },
  getPipeline: {
    method: 'GET',
    path: '/pipelines/{name}',
    tag: 'pipelines',
    summary: 'A pipeline, at its newest or a given version',
    params: Type.Object({
      name: Type.String({ maxLength: 120, description: 'Its name; name@version for a version of it.' }),
    }),
    query: Type.Object({ version: Type.Optional(Type.Integer({ minimum: 1 })) }),
    status: 200,
    response: PipelineResource,
  },
  createPipeline: {
    method: 'POST',
    path: '/pipelines',
    tag: 'pipelines',
    summary: 'Create a pipeline or a new version of one, from YAML or JSON',
    body: Type.Object({ source: Type.String({ minLength: 1, maxLength: 200_000 }) }),
    status: 201,
    response: PipelineResource,
  },
  validatePipeline: {
    method: 'POST',
    path: '/pipelines/validate',
    tag: 'pipelines',
    summary: 'Check a definition without storing it',
    body: Type.Object({ source: Type.String({ minLength: 1, maxLength: 200_000 }) }),
    status: 200,
    response: Type.Object({ valid: Type.Boolean(), errors: Type.Array(FieldError) }),
  },
  listProcessors: {
    method: 'GET',
    path: '/processors',
    tag: 'pipelines',
    summary: 'The processor catalogue',
    status: 200,
    response: List(ProcessorResource),
  },
} as const satisfies Record<string, Operation>
