// npm run docs: writes the generated pages of docs/reference.

import { install, runUnderProjectNode } from './project.mjs'

await install()
runUnderProjectNode(['scripts/generate-docs.ts', ...process.argv.slice(2)])
