// npm start: installs what is missing, builds the dashboard, and runs the whole platform in one process.
// All flags go to the server: npm start -- --help.

import { buildDashboard, install, runUnderProjectNode } from './project.mjs'

await install()
buildDashboard()
runUnderProjectNode(['server/src/main.ts', 'serve', ...process.argv.slice(2)])
