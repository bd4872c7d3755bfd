// npm run chaos: faults on the real product (test/chaos), under the Node that the project brings.

import { install, runUnderProjectNode } from './project.mjs'

await install()
runUnderProjectNode(['test/chaos/main.ts', ...process.argv.slice(2)])
