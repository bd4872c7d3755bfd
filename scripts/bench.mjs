// npm run bench: the benchmarks of server/bench, under the Node that the project brings.

import { install, runUnderProjectNode } from './project.mjs'

await install()
runUnderProjectNode(['server/bench/main.ts', ...process.argv.slice(2)])
