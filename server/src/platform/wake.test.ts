import { describeWakeBus } from './wake.contract.ts'
import { createLocalWakeBus } from './wake.ts'

describeWakeBus('wakes within a process', async () => {
  const bus = createLocalWakeBus()
  return { buses: [bus, bus], close: async () => {} }
})
