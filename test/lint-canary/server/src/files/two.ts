// Planted: the other half of the cycle. Reported: no-cycle
import type { One } from './one.ts'
export interface Two { one: One }
