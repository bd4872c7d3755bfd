import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { toCsvLine } from '../../platform/csv.ts'
import { defineRun } from '../processor-run.ts'
import { done, type InputFile } from '../processor.ts'
import { fileManifest } from './file-manifest.ts'

const contentTypes = { json: 'application/json', jsonl: 'application/x-ndjson', csv: 'text/csv' }

/** Output: manifest.json, .jsonl or .csv, also of no file at all; recordsCount is the number of files. */
export const run = defineRun(fileManifest, async ({ parameters: { format }, outputFolder, files, file }) => {
  const entries: ManifestEntry[] = []
  for (const each of files) entries.push(await entryOf(each))
  const { name, content_type, size_bytes, sha256 } = {
    name: file.name,
    content_type: file.contentType,
    size_bytes: file.sizeBytes,
    sha256: file.sha256,
  }
  const text = {
    json: () => `${JSON.stringify({ file: { name, content_type, size_bytes, sha256 }, files: entries }, null, 2)}\n`,
    jsonl: () => entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''),
    csv: () =>
      [columns, ...entries.map((entry) => columns.map((column) => String(entry[column])))].map(toCsvLine).join(''),
  }[format]()
  const path = `manifest.${format}`
  await writeFile(join(outputFolder, path), text)
  const contentBytes = files.reduce((sum, each) => sum + each.sizeBytes, 0)
  const result = { kind: 'manifest', files_count: files.length, content_bytes: contentBytes }
  return done([{ path, name: path, contentType: contentTypes[format] }], result, { recordsCount: files.length })
})

const columns = ['name', 'content_type', 'size_bytes', 'sha256', 'step'] as const
type ManifestEntry = Record<(typeof columns)[number], string | number>

async function entryOf({ path, name, contentType, sizeBytes, from }: InputFile): Promise<ManifestEntry> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return { name, content_type: contentType, size_bytes: sizeBytes, sha256: hash.digest('hex'), step: from }
}
