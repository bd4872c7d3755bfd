import { defineRun } from '../processor-run.ts'
import { done } from '../processor.ts'
import { archiveTier } from './archive-tier.ts'

/** Opens no object and moves none; whoever keeps the objects acts on the result: { kind: 'tier', storage_class }. */
export const run = defineRun(archiveTier, async ({ parameters }) =>
  done([], { kind: 'tier', storage_class: parameters.class }),
)
