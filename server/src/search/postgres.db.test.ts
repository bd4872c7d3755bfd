import { createTestDatabase } from '../testing/database.ts'
import { createPostgresSearch } from './postgres.ts'
import { describeSearchIndex } from './search-index.contract.ts'

describeSearchIndex('search in PostgreSQL', async () => {
  const test = await createTestDatabase()
  return {
    index: createPostgresSearch(),
    withTenant: (tenantId, work) => test.database.withTenant(tenantId, work),
    close: () => test.drop(),
  }
})
