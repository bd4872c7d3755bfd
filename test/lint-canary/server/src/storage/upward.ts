// Planted: an import from a higher floor. Reported: no-restricted-imports
import { gate } from '../gateway/gate.ts'
export const upward = gate
