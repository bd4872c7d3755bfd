// npm run prove: proofs in full size (server/prove), under the Node that the project brings.

import { install, runUnderProjectNode } from './project.mjs'

await install()
runUnderProjectNode(['server/prove/main.ts', ...process.argv.slice(2)])
