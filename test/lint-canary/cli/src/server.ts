// Planted: the command reaching into the server. Reported: no-restricted-imports
import { gate } from '../../server/src/gateway/gate.ts'
export const reached = gate
