import { expect, test } from 'vitest'
import { systemIds } from '../platform/ids.ts'
import { createTenantSecrets } from './tenant-secret.ts'
import { createMemoryKeyRing } from './testing/memory-key-ring.ts'

const secrets = createTenantSecrets({ keyRing: createMemoryKeyRing(), ids: systemIds })

test('a secret comes back for its tenant only, and only as it was', async () => {
  const value = { user: 'ann', password: 'canary' }
  const sealed = await secrets.seal(7, value)
  expect(JSON.stringify(sealed)).not.toContain('canary')
  expect(await secrets.open(7, JSON.parse(JSON.stringify(sealed)))).toEqual(value)
  await expect(secrets.open(8, sealed)).rejects.toMatchObject({ code: 'object_damaged' })
  const other = await secrets.seal(7, value)
  for (const bent of [{ ...sealed, id: other.id }, { ...sealed, message: other.message }, {}, null, 'x'])
    await expect(secrets.open(7, bent)).rejects.toMatchObject({ code: 'object_damaged' })
})
