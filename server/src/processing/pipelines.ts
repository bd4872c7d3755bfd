// Pipelines by name: which version a job runs.

import type { Tx } from '../platform/database.ts'
import type { PipelineDefinition } from './definition.ts'

export interface PipelineChoice {
  tenantId: number
  /** "name" for its newest version, or "name@number"; left out: the default for the content type. */
  pipeline?: string
  contentType: string
}

export interface ChosenPipeline {
  pipelineVersionId: number
  name: string
  number: number
  definition: PipelineDefinition
}

export interface Pipelines {
  /**
   * The version that a job over a file of this content type runs. Throws Problem('pipeline_unknown') for a name or
   * number that the tenant does not have and Problem('pipeline_not_accepted') when it does not take the content type.
   * May write: a built-in pipeline becomes a version of the tenant when it is first chosen.
   */
  choose(tx: Tx, choice: PipelineChoice): Promise<ChosenPipeline>
}
