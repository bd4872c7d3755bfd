// Planted: a generic part of the dashboard that knows a feature. Reported: no-restricted-imports
import { feature } from '../features/feature.ts'
export const part = feature
