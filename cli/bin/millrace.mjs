#!/usr/bin/env node
// The command starts under whatever Node the machine has and hands over to the one the project brings.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const node = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url))
const { status } = spawnSync(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
process.exit(status ?? 1)
