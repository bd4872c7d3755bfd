import { Type, type Static } from 'typebox'
import { stageNames } from '../stages.ts'
import { Timestamp } from './time.ts'

export const PipelineResource = Type.Object(
  {
    pipeline_id: Type.String(),
    name: Type.String(),
    version: Type.Integer({ minimum: 1 }),
    description: Type.Union([Type.String(), Type.Null()]),
    accept: Type.Array(Type.String(), { description: 'Content types it takes, with * as a wildcard part.' }),
    built_in: Type.Boolean({ description: 'Shipped with Millrace; copy its source to make your own.' }),
    source: Type.String({ description: 'The definition as it was written, YAML or JSON.' }),
    definition: Type.Unknown({ description: 'The definition as it was understood.' }),
    created_at: Timestamp,
  },
  { $id: 'Pipeline' },
)
export type PipelineResource = Static<typeof PipelineResource>

export const ProcessorResource = Type.Object(
  {
    name: Type.String(),
    stage: Type.Enum([...stageNames]),
    version: Type.Integer({ minimum: 1 }),
    summary: Type.String(),
    accepts: Type.Array(Type.String()),
    parameters: Type.Unknown({ description: 'JSON Schema of "with".' }),
    available: Type.Boolean(),
    unavailable_reason: Type.Union([Type.String(), Type.Null()]),
  },
  { $id: 'Processor' },
)
export type ProcessorResource = Static<typeof ProcessorResource>
