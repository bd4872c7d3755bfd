// Planted: an import from a folder of the same floor, of a type only. Reported: no-restricted-imports
import type { Gate } from '../auth/gate.ts'
export interface Sideways { gate: Gate }
