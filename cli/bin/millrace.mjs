#!/usr/bin/env node
// The command starts under whatever Node the machine has and hands over to the one the project brings.

import { fileURLToPath } from 'node:url'
import { runUnderProjectNode } from '../../scripts/project.mjs'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
try {
  runUnderProjectNode([main, ...process.argv.slice(2)], { cwd: process.cwd() })
} catch (error) {
  console.error(error.message)
  process.exit(1)
}
