// Identifiers as they appear on the wire: a prefix that says what the thing is, then opaque text.
// Clients compare and store them; only the server knows how to take one apart.

/** What each prefix stands for; the key is also the brand of the id's type. */
export const idPrefixes = {
  tenant: 'tenant',
  user: 'user',
  api_key: 'key',
  file: 'file',
  version: 'ver',
  output: 'out',
  pipeline: 'pipe',
  job: 'job',
  task: 'task',
  batch: 'batch',
  schedule: 'sched',
  control: 'ctrl',
  upload: 'upload',
  import_source: 'source',
  worker: 'worker',
  event: 'evt',
  link: 'link',
} as const

export type IdKind = keyof typeof idPrefixes

declare const brand: unique symbol
/** A branded string: two kinds of id cannot be swapped by accident. */
export type Id<Kind extends IdKind> = string & { readonly [brand]: Kind }

export type TenantId = Id<'tenant'>
export type UserId = Id<'user'>
export type ApiKeyId = Id<'api_key'>
export type FileId = Id<'file'>
export type VersionId = Id<'version'>
export type OutputId = Id<'output'>
export type PipelineId = Id<'pipeline'>
export type JobId = Id<'job'>
export type TaskId = Id<'task'>
export type BatchId = Id<'batch'>
