// file.collect: how the file arrived.

import { Type } from 'typebox'
import { defineProcessor } from '../processor.ts'

export const fileCollect = defineProcessor({
  name: 'file.collect',
  stage: 'collect',
  version: 1,
  summary: 'Records how the file arrived: name, size, checksum, type as told at its receipt, and its metadata.',
  accepts: ['*/*'],
  parameters: Type.Object({}, { additionalProperties: false }),
  limits: { memoryBytes: 64 * 1024 ** 2, timeoutMs: 10_000, outputBytesMax: 0, outputFilesMax: 0 },
  costClass: 'S',
  cost: { baseMs: 0.1, perMbMs: 0 },
  isolation: 'supervisor',
})
