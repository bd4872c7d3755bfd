// Planted on purpose: an import from a higher floor, and the environment read outside its place.
import { gate } from '../gateway/gate.ts'
export const upward = gate + String(process.env['PATH'])
