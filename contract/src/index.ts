// The promise: what the server answers, what clients may ask, and the words that both use. It imports nothing of ours, so
// whoever has it can talk to a server without having one. An operation, a problem or a state that is not here does not
// exist; one that is here keeps its meaning.

export * from './client.ts'
export * from './ids.ts'
export * from './operations.ts'
export * from './problems.ts'
export * from './resources/admin.ts'
export * from './resources/batch.ts'
export * from './resources/control.ts'
export * from './resources/event.ts'
export * from './resources/file.ts'
export * from './resources/identity.ts'
export * from './resources/job.ts'
export * from './resources/link.ts'
export * from './resources/pipeline.ts'
export * from './resources/problem.ts'
export * from './resources/schedule.ts'
export * from './resources/share.ts'
export * from './resources/upload.ts'
export * from './sse-parser.ts'
export * from './stages.ts'
export * from './states.ts'
