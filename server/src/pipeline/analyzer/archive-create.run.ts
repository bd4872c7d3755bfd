import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { zipNames } from '../../files/zip-names.ts'
import { writeZip } from '../../files/zip-stream.ts'
import { defineRun } from '../processor-run.ts'
import { done } from '../processor.ts'
import { archiveCreate } from './archive-create.ts'

/** The same files give the same bytes, so no member tells a time but this. */
const modifiedAt = new Date('1980-01-01T00:00:00Z')

/**
 * Output: a zip with a member per file, its name made safe, and unique by a number where several have it; without a file
 * there is no output. recordsCount is the number of files.
 */
export const run = defineRun(archiveCreate, async ({ parameters, outputFolder, files }) => {
  const contentBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const result = { kind: 'archive', files_count: files.length, content_bytes: contentBytes }
  if (files.length === 0) return done([], result, { recordsCount: 0 })
  const names = zipNames(files.map(({ name }) => name))
  const members = files.map((file, index) => ({ ...file, name: names[index] ?? file.name, modifiedAt }))
  const content = writeZip(members, async ({ path }) => createReadStream(path))
  await pipeline(content, createWriteStream(join(outputFolder, 'files.zip')))
  const output = { path: 'files.zip', name: parameters.name, contentType: 'application/zip' }
  return done([output], result, { recordsCount: files.length })
})
