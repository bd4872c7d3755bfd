// Who may do what: one rule per operation, and the only place that says so. The gateway asks it before it reads a
// body; a route without a rule does not start. That a resource belongs to the tenant at all is not decided here but
// by the tenant's scope of the database: whatever lies outside it does not exist for the asker.

import type { OperationId, Role } from '@millrace/contract'
import type { Principal } from '../platform/principal.ts'

export type Rule =
  /** No credentials are asked for or looked at. */
  | { readonly allow: 'public' }
  /** Principals of a tenant with one of these roles. */
  | { readonly allow: 'roles'; readonly roles: readonly Role[] }
  /** Who runs the installation, whatever the role in the tenant. */
  | { readonly allow: 'operator' }

const anyone: Rule = { allow: 'public' }
const readers: Rule = { allow: 'roles', roles: ['admin', 'user', 'read-only'] }
const writers: Rule = { allow: 'roles', roles: ['admin', 'user'] }
const admins: Rule = { allow: 'roles', roles: ['admin'] }
const operators: Rule = { allow: 'operator' }

export const policy = {
  createSession: anyone,
  refreshSession: anyone,
  deleteSession: anyone,
  getPrincipal: readers,
  getUsage: readers,
  listApiKeys: admins,
  createApiKey: admins,
  revokeApiKey: admins,

  uploadFile: writers,
  listFiles: readers,
  getFile: readers,
  updateFile: writers,
  deleteFile: writers,
  restoreFile: writers,
  getFileContent: readers,
  getFileLineage: readers,
  listFileVersions: readers,
  uploadFileVersion: writers,
  search: readers,
  createFilesZip: readers,
  getJobZip: readers,
  createFileLink: writers, // Handing on is more than reading.
  createOutputLink: writers,
  listLinks: readers,
  deleteLink: writers,
  openLink: anyone, // The token says what it is good for.

  describeUploads: anyone,
  createUpload: writers,
  listUploads: readers,
  getUpload: readers,
  appendUpload: writers,
  overrideUpload: writers,
  abortUpload: writers,
  createPartsUpload: writers,
  listUploadParts: writers, // It hands out URLs that write.
  putUploadPart: anyone, // The URL is signed for one part, a quarter of an hour.
  completeUpload: writers,
  createImport: writers,
  createImportSource: admins, // It keeps credentials and goes on by itself.
  listImportSources: readers,
  getImportSource: readers,
  updateImportSource: admins,
  deleteImportSource: admins,

  createJob: writers,
  listJobs: readers,
  getJob: readers,
  cancelJob: writers,
  pauseJob: writers,
  resumeJob: writers,
  retryJob: writers,
  replayStep: writers,
  getOutputContent: readers,
  jobEvents: readers,
  tenantEvents: readers,

  createBatch: writers,
  listBatches: readers,
  getBatch: readers,
  updateBatch: writers,
  cancelBatch: writers,
  redriveBatch: writers,
  listBatchItems: readers,
  getBatchReport: readers,

  listDeadLetters: readers,
  getDeadLetter: readers,
  replayDeadLetters: writers,
  cancelJobs: writers,
  listControlTasks: readers,
  getControlTask: readers,
  cancelControlTask: writers,
  createSchedule: writers,
  listSchedules: readers,
  getSchedule: readers,
  updateSchedule: writers,
  deleteSchedule: writers,

  listPipelines: readers,
  getPipeline: readers,
  createPipeline: admins, // A pipeline becomes the default of every upload of its types.
  validatePipeline: readers,
  listProcessors: readers,

  getAdminMetrics: operators,
  listWorkers: operators,
  listQueues: operators,
  getPoolShare: operators,
  updatePoolShare: operators,
  getTenantShare: operators,
  updateTenantShare: operators,
  getTenantLimits: operators,
  updateTenantLimits: operators,
  shredTenantKeys: operators,
  getDoctorReport: operators,
} as const satisfies Record<OperationId, Rule>

/** Whether the rule lets this principal through. */
export function permits(rule: Rule, principal: Principal): boolean {
  if (rule.allow === 'public') return true
  return rule.allow === 'operator' ? principal.operator : rule.roles.includes(principal.role)
}
