import { existsSync } from 'node:fs'
import { createPostgres } from './postgres.ts'

/** The oldest PostgreSQL that the product runs on, as Debian packages it. */
export const postgres15 = createPostgres({
  name: 'PostgreSQL 15',
  package: { by: 'apt', packages: ['postgresql-15', 'postgresql-contrib'] },
  programs: () => ['/usr/lib/postgresql/15/bin'].find((folder) => existsSync(`${folder}/postgres`)),
})
