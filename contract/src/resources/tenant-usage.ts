import { Type, type Static } from 'typebox'

const count = (description: string) => Type.Integer({ minimum: 0, description })

/** What a tenant has used of what it may have. */
export const TenantUsage = Type.Object(
  {
    files_count: count('The trash included.'),
    reserved_files: count('Of uploads under way.'),
    files_count_max: count('The limit.'),
    files_left: count('How many more there is room for.'),
    stored_bytes: count('Content of all versions of all files, the trash included.'),
    reserved_bytes: count('Of uploads under way.'),
    stored_bytes_max: count('The limit.'),
    bytes_left: count('How many more there is room for.'),
    file_size_bytes_max: count('Length of one file at most.'),
  },
  { $id: 'TenantUsage' },
)
export type TenantUsage = Static<typeof TenantUsage>
