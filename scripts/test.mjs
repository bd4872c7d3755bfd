// npm test: installs the project's packages when needed, then runs the suites under the Node that the project brings.

import { install, runUnderProjectNode } from './project.mjs'

await install()
runUnderProjectNode(['test/harness/run-tests.ts', ...process.argv.slice(2)])
