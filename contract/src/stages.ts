// The six stages, in the order in which a file passes them. An edge of a pipeline never runs back
// to an earlier stage; what a stage may touch is told by its context type in the server.

export const stageNames = ['collect', 'validate', 'transform', 'analyze', 'index', 'archive'] as const
export type StageName = (typeof stageNames)[number]

/** Position of a stage in the order of passage, from 0. */
export const stageOrder = (stage: StageName): number => stageNames.indexOf(stage)
