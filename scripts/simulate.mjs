// npm run simulate: histories of the engine in simulated time (server/src/testing/simulation), under the Node that the
// project brings.

import { install, runUnderProjectNode } from './project.mjs'

await install()
runUnderProjectNode(['server/src/testing/simulation/main.ts', ...process.argv.slice(2)])
