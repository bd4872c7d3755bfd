// npm test: installs the project's packages and builds the dashboard when needed, then runs the suites under the Node that the project brings.

import { buildDashboard, install, runUnderProjectNode } from './project.mjs'

await install()
buildDashboard()
runUnderProjectNode(['test/harness/run-tests.ts', ...process.argv.slice(2)])
