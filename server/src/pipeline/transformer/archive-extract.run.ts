import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { Problem } from '../../platform/problem.ts'
import { sniffBytes, sniffContentType } from '../formats/sniff.ts'
import { defineRun, inputOf, type TypedRun } from '../processor-run.ts'
import { done, type InputFile, type OutputFile } from '../processor.ts'
import { archiveExtract } from './archive-extract.ts'
import {
  collisionKey,
  createBudget,
  isDesktopNoise,
  pathFault,
  plainPath,
  type Budget,
  type Member,
} from './archive/member.ts'
import { packedMembers, tarMembers } from './archive/stream-members.ts'
import { tooMany, zipMembers } from './archive/zip-members.ts'

type Wishes = TypedRun<(typeof archiveExtract)['parameters']>['parameters']

/** Members and skipped ones that are told one by one in the result; the outputs are all of them. */
const toldCountMax = 200

interface Unpacked {
  outputs: OutputFile[]
  members: { path: string; size_bytes: number; content_type: string }[]
  skipped: { path: string; reason: string }[]
  foldersCount: number
}

/**
 * Every member becomes an output that is a file, named by its path in the archive; its type is told from its first bytes.
 * Result: { kind: 'archive', format, members_count, folders_count, skipped_count, unpacked_bytes, members, skipped };
 * recordsCount is the number of members.
 */
export const run = defineRun(archiveExtract, async ({ parameters, outputFolder, file, ...rest }) => {
  const archive = inputOf(rest)
  if (archive.sizeBytes === 0)
    throw new Problem('file_empty', { detail: 'The file has no bytes, so it is no archive.' })
  if (file.depth >= parameters.depth_max)
    throw new Problem('file_too_complex', {
      detail: `The archive lies inside of ${file.depth} others; they are unpacked ${parameters.depth_max} deep.`,
    })
  const { bytes_max: bytesMax, ratio_max: ratioMax } = parameters
  const budget = createBudget({ archiveBytes: archive.sizeBytes, bytesMax, ratioMax })
  const format = await formatOf(archive)
  const unpacked = await unpackAll(
    membersOf(archive, format, budget, parameters),
    { budget, format, outputFolder },
    parameters,
  )
  const result = {
    kind: 'archive',
    format: formatNames[format],
    members_count: unpacked.outputs.length,
    folders_count: unpacked.foldersCount,
    unpacked_bytes: budget.unpackedBytes,
    members: unpacked.members.slice(0, toldCountMax),
    skipped_count: unpacked.skipped.length,
    skipped: unpacked.skipped.slice(0, toldCountMax),
  }
  return done(unpacked.outputs, result, { recordsCount: unpacked.outputs.length })
})

const formatNames = {
  'application/zip': 'zip',
  'application/x-tar': 'tar',
  'application/gzip': 'gzip',
  'application/zstd': 'zstd',
} as const
type Format = keyof typeof formatNames

const zipStarts = new Set(['PK\x03\x04', 'PK\x05\x06'])

async function formatOf({ path, name }: InputFile): Promise<Format> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(sniffBytes), 0, sniffBytes, 0)
    const head = buffer.subarray(0, bytesRead)
    // Office documents, books and programs are zips, too.
    if (zipStarts.has(head.toString('latin1', 0, 4))) return 'application/zip'
    const type = sniffContentType(head, name)
    if (isFormat(type)) return type
    if (/7z|rar|xz|bzip2|lz4/.test(type))
      throw new Problem('file_type_unsupported', {
        detail: `Archives of type ${type} cannot be unpacked here. Pack it as zip.`,
      })
    throw new Problem('file_unreadable', { detail: 'The content of the file is not an archive of a known kind.' })
  } finally {
    await file.close()
  }
}

const isFormat = (type: string): type is Format => Object.hasOwn(formatNames, type)

function membersOf({ path, name }: InputFile, type: Format, budget: Budget, wishes: Wishes): AsyncGenerator<Member> {
  if (type === 'application/zip') return zipMembers(path, wishes.members_max)
  return type === 'application/x-tar' ? tarMembers(path, budget) : packedMembers({ path, name, type, budget })
}

async function unpackAll(
  members: AsyncGenerator<Member>,
  place: { budget: Budget; format: Format; outputFolder: string },
  { members_max: membersMax, unsafe }: Wishes,
): Promise<Unpacked> {
  const found: Unpacked = { outputs: [], members: [], skipped: [], foldersCount: 0 }
  const taken = new Set<string>()
  let seenCount = 0
  for await (const member of members) {
    seenCount += 1
    if (seenCount > membersMax) throw tooMany(membersMax)
    const path = plainPath(member.path)
    if (isDesktopNoise(path)) continue
    const fault = faultOf(member, taken)
    if (fault !== undefined && unsafe === 'reject')
      throw new Problem('archive_unsafe', { detail: `"${toldPath(member.path)}" cannot be unpacked: ${fault}.` })
    if (fault !== undefined) found.skipped.push({ path: toldPath(member.path), reason: fault })
    else if (member.kind === 'folder') found.foldersCount += 1
    else {
      taken.add(collisionKey(path))
      const stored = String(found.outputs.length + 1).padStart(5, '0')
      const written = await writeMember(member, join(place.outputFolder, stored), place)
      const contentType = sniffContentType(written.head, path)
      found.outputs.push({ path: stored, name: path, contentType, as: 'file' })
      found.members.push({ path, size_bytes: written.sizeBytes, content_type: contentType })
    }
  }
  return found
}

function faultOf({ path, kind }: Member, taken: ReadonlySet<string>): string | undefined {
  if (kind === 'special') return 'it is a link or a device'
  const fault = pathFault(path)
  // The top folder of a tar is called ./
  if (kind === 'folder') return fault === 'it has no name' ? undefined : fault
  return fault ?? (taken.has(collisionKey(plainPath(path))) ? 'another member has the same name' : undefined)
}

/** For a sentence: short, and without anything that would break the line. */
const toldPath = (path: string): string => path.slice(0, 200).replaceAll(/\p{C}/gu, '\ufffd')

async function writeMember(
  member: Member,
  path: string,
  { budget, format }: { budget: Budget; format: Format },
): Promise<{ sizeBytes: number; head: Buffer }> {
  const file = await open(path, 'wx')
  try {
    let [sizeBytes, head] = [0, Buffer.alloc(0)]
    for await (const chunk of member.content()) {
      // What comes from one packed stream is counted there, with everything between the members.
      if (format === 'application/zip') budget.take(chunk.length)
      if (head.length < sniffBytes) head = Buffer.concat([head, chunk.subarray(0, sniffBytes - head.length)])
      sizeBytes += chunk.length
      await writeWhole(file, chunk)
    }
    return { sizeBytes, head }
  } finally {
    await file.close()
  }
}

async function writeWhole(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let written = 0; written < chunk.length;)
    written += (await file.write(chunk, written, chunk.length - written)).bytesWritten
}
