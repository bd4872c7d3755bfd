// Planted: the environment read outside its place, by an import. Reported: no-restricted-imports
import { env } from 'node:process'
export const path = env['PATH']
