import { Type, type Static } from 'typebox'

/** The limits by name, as they are told to people. */
export const tenantLimitSummaries = {
  file_size_bytes_max: 'Length of one file.',
  stored_bytes_max: 'Content of all versions of all files, the trash included.',
  files_count_max: 'Files, the trash included.',
  user_stored_bytes_max: 'Content of all versions that one user or API key has uploaded.',
  user_files_count_max: 'Files that one user or API key has uploaded.',
  open_uploads_count_max: 'Upload sessions that have not ended.',
  metadata_bytes_max: "The JSON text of one file's metadata.",
  trash_kept_days: 'Days after which what lies in the trash is erased.',
  results_kept_days: 'Days for which what a job made is kept after its end.',
  jobs_kept_days: 'Days for which jobs, with all that they made, and batches are kept after their end.',
  audit_kept_days: 'Days for which audit events are kept.',
} as const
export type TenantLimitName = keyof typeof tenantLimitSummaries

const limit = (name: TenantLimitName, minimum: number, maximum: number = Number.MAX_SAFE_INTEGER) =>
  Type.Integer({ minimum, maximum, description: tenantLimitSummaries[name] })
const keptDaysMax = 36_500

const counts = {
  file_size_bytes_max: limit('file_size_bytes_max', 1),
  stored_bytes_max: limit('stored_bytes_max', 0),
  files_count_max: limit('files_count_max', 0),
  user_stored_bytes_max: limit('user_stored_bytes_max', 0),
  user_files_count_max: limit('user_files_count_max', 0),
  open_uploads_count_max: limit('open_uploads_count_max', 0, 100_000),
  metadata_bytes_max: limit('metadata_bytes_max', 2, 1024 * 1024),
  trash_kept_days: limit('trash_kept_days', 0, 3_650),
}
const keptDays = {
  results_kept_days: limit('results_kept_days', 1, keptDaysMax),
  jobs_kept_days: limit('jobs_kept_days', 1, keptDaysMax),
  audit_kept_days: limit('audit_kept_days', 1, keptDaysMax),
}

/** What an operator has set for one tenant; what is left out is the default. */
export const TenantLimitOverrides = Type.Partial(Type.Object({ ...counts, ...keptDays }))
export type TenantLimitOverrides = Static<typeof TenantLimitOverrides>

const daysOrEver = (name: keyof typeof keptDays) =>
  Type.Union([keptDays[name], Type.Null()], { description: `${tenantLimitSummaries[name]} null: for ever.` })

/** What holds for a tenant. */
export const TenantLimits = Type.Object(
  {
    tenant_id: Type.String(),
    ...counts,
    results_kept_days: daysOrEver('results_kept_days'),
    jobs_kept_days: daysOrEver('jobs_kept_days'),
    audit_kept_days: daysOrEver('audit_kept_days'),
    set: Type.Array(Type.String(), { description: 'Which of them the operator has set; the others are defaults.' }),
  },
  { $id: 'TenantLimits' },
)
export type TenantLimits = Static<typeof TenantLimits>

const orDefault = (name: TenantLimitName) =>
  Type.Optional(
    Type.Union([{ ...counts, ...keptDays }[name], Type.Null()], {
      description: `${tenantLimitSummaries[name]} null: the default.`,
    }),
  )

/** What is given changes, and holds at once. */
export const TenantLimitsChange = Type.Object(
  {
    file_size_bytes_max: orDefault('file_size_bytes_max'),
    stored_bytes_max: orDefault('stored_bytes_max'),
    files_count_max: orDefault('files_count_max'),
    user_stored_bytes_max: orDefault('user_stored_bytes_max'),
    user_files_count_max: orDefault('user_files_count_max'),
    open_uploads_count_max: orDefault('open_uploads_count_max'),
    metadata_bytes_max: orDefault('metadata_bytes_max'),
    trash_kept_days: orDefault('trash_kept_days'),
    results_kept_days: orDefault('results_kept_days'),
    jobs_kept_days: orDefault('jobs_kept_days'),
    audit_kept_days: orDefault('audit_kept_days'),
  },
  { additionalProperties: false },
)
export type TenantLimitsChange = Static<typeof TenantLimitsChange>
