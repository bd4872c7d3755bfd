// Who is asking, as authentication found it. auth/ makes these; everyone below the gateway is handed one.

import type { ApiKeyId, Role, UserId } from '@millrace/contract'

export interface Principal {
  readonly kind: 'user' | 'api_key' | 'system'
  /** Row id of the tenant it acts for. */
  readonly tenantId: number
  readonly role: Role
  /** Runs the installation; may read its figures, never a tenant's content. */
  readonly operator: boolean
  /** What audit events and created_by carry. */
  readonly actor: UserId | ApiKeyId | 'system'
}
