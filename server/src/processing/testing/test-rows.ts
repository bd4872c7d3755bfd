// Rows of tests that need some and do not care which.

import type { SealedObject } from '../../storage/vault.ts'
import { retryPolicyDefault, type PipelineDefinition, type StepDefinition } from '../definition.ts'

let objectsCount = 0
export const testObject = (tenantId: number, sizeBytes = 10): SealedObject => {
  const objectId = (++objectsCount).toString(16).padStart(32, '0')
  return {
    objectId,
    tenantId,
    storeKey: `results/${objectId}`,
    sizeBytes,
    storedBytes: sizeBytes,
    sha256: 'c'.repeat(64),
    manifest: {},
    wrappedKey: new Uint8Array(1),
    tenantKeyVersion: 1,
  }
}

export type Steps = Record<string, Partial<StepDefinition> & { uses: string }>

export const toDefinition = (steps: Steps, rest: Partial<PipelineDefinition> = {}): PipelineDefinition => ({
  name: 'test',
  accept: ['*/*'],
  retry: retryPolicyDefault,
  on_failure: 'stop',
  steps: Object.fromEntries(Object.entries(steps).map(([name, step]) => [name, { needs: [], with: {}, ...step }])),
  ...rest,
})
