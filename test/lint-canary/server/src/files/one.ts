// Planted: a cycle of types only. Reported: no-cycle
import type { Two } from './two.ts'
export interface One { two: Two }
