// Programs of the Debian distribution that processors, the sandbox and the browser tests call.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Finding, Program } from './server.ts'

const run = promisify(execFile)
const probeTimeoutMs = 20_000

interface ProgramOptions {
  name: string
  packages: readonly string[]
  path: string
  /** Arguments of a call that shows that it works here; its first version-like word is the version. */
  probe: readonly string[]
}

function createProgram({ name, packages, path, probe }: ProgramOptions): Program {
  return {
    name,
    path,
    package: { by: 'apt', packages },
    async find(): Promise<Finding> {
      if (!existsSync(path)) return { found: false, why: 'not installed' }
      try {
        const { stdout, stderr } = await run(path, [...probe], { timeout: probeTimeoutMs })
        return { found: true, version: /\d+(?:\.\d+)+/.exec(stdout + stderr)?.[0] ?? 'of unknown version' }
      } catch (error) {
        return {
          found: false,
          why: `does not run here: ${error instanceof Error ? error.message.trim() : String(error)}`,
        }
      }
    },
  }
}

/** A namespace is really made: an installed bubblewrap is no use where the kernel forbids them. */
const namespace = ['--unshare-all', '--unshare-user', '--disable-userns', '--uid', '65534', '--gid', '65534']
const system = ['--ro-bind', '/usr', '/usr', '--symlink', 'usr/lib', '/lib', '--symlink', 'usr/lib64', '/lib64']

export const bubblewrap = createProgram({
  name: 'bubblewrap',
  packages: ['bubblewrap'],
  path: '/usr/bin/bwrap',
  probe: [...namespace, '--cap-drop', 'ALL', '--die-with-parent', ...system, '/usr/bin/bwrap', '--version'],
})

export const chromium = createProgram({
  name: 'Chromium',
  packages: ['chromium'],
  path: '/usr/bin/chromium',
  probe: ['--version', '--no-sandbox'],
})

export const poppler = createProgram({
  name: 'poppler',
  packages: ['poppler-utils'],
  path: '/usr/bin/pdftotext',
  probe: ['-v'],
})

export const ffmpeg = createProgram({
  name: 'ffmpeg',
  packages: ['ffmpeg'],
  path: '/usr/bin/ffmpeg',
  probe: ['-version'],
})

export const tesseract = createProgram({
  name: 'tesseract',
  packages: ['tesseract-ocr', 'tesseract-ocr-eng'],
  path: '/usr/bin/tesseract',
  probe: ['--version'],
})

/** Compiles the second decryptor of the stored format. A toolchain beside the distribution's is usually the newer one. */
export const go = createProgram({
  name: 'Go',
  packages: ['golang-go'],
  path: ['/usr/local/go/bin/go', '/usr/bin/go'].find((file) => existsSync(file)) ?? '/usr/bin/go',
  probe: ['version'],
})
