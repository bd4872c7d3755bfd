import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { Problem } from '../../platform/problem.ts'
import { defineRun, inputOf, type TypedRun } from '../processor-run.ts'
import { done } from '../processor.ts'
import { agreedType, declaredAgreement, endingAgreement, opinionsOn, witnessedBytes } from './content-opinions.ts'
import { fileIngest } from './file-ingest.ts'
import { secondNatureOf, type SecondNature } from './second-nature.ts'
import { structureCheckOf } from './structure/checks.ts'
import { FileBytes, type Structure } from './structure/structure.ts'

type Wishes = TypedRun<(typeof fileIngest)['parameters']>['parameters']

/** What keeps a file from being worked with; null when nothing does. */
type Fault = { code: 'file_unreadable' | 'file_encrypted' | 'file_type_unsupported'; detail: string } | null

/**
 * Result: { kind: 'file-check', content_type, declared_type, declared, ending, disagreements, opinions, is_whole, fault,
 * flags, trailing, structure, checksums }. Rejects with file_empty, file_unreadable, file_encrypted or file_type_unsupported.
 */
export const run = defineRun(fileIngest, async ({ parameters, file: received, ...rest }) => {
  const input = inputOf(rest)
  if (input.sizeBytes === 0) throw new Problem('file_empty', { detail: 'The file has no bytes.' })
  const file = await open(input.path)
  const bytes = new FileBytes(file, input.path, input.sizeBytes)
  try {
    const opinions = await opinionsOn(Buffer.from(await bytes.read(0, witnessedBytes)), input.name)
    const type = agreedType(opinions)
    const { structure, fault: damage } = await structureOf(bytes, type)
    const second = await secondNatureOf(bytes, type, structure)
    const ending = endingAgreement(input.name, type)
    const declaredType = input.from === 'original' ? received.declaredType : undefined
    const declared = declaredAgreement(declaredType, type)
    const disagreements = disagreementsOf({ type, name: input.name, ending, declaredType, declared, second })
    const fault = damage ?? faultOf({ type, disagreements }, parameters)
    if (fault !== null && parameters.strictness !== 'report') throw new Problem(fault.code, { detail: fault.detail })
    return done([], {
      kind: 'file-check',
      content_type: type,
      declared_type: declaredType ?? null,
      declared,
      ending,
      disagreements,
      opinions,
      is_whole: damage === null,
      fault,
      ...second,
      structure: structure.facts,
      checksums: await checksumsOf(bytes, parameters.checksums),
    })
  } finally {
    await file.close()
    bytes.release()
  }
})

async function structureOf(bytes: FileBytes, type: string): Promise<{ structure: Structure; fault: Fault }> {
  try {
    const check = structureCheckOf(type)
    return { structure: check === undefined ? { facts: { checked: 'nothing' } } : await check(bytes), fault: null }
  } catch (error) {
    if (!(error instanceof Problem) || (error.code !== 'file_unreadable' && error.code !== 'file_encrypted'))
      throw error
    return { structure: { facts: {} }, fault: { code: error.code, detail: error.message } }
  }
}

interface Findings {
  type: string
  name: string
  ending: ReturnType<typeof endingAgreement>
  declaredType: string | undefined
  declared: ReturnType<typeof declaredAgreement>
  second: SecondNature
}

/** In what name, sender and content contradict each other, in words for the owner. */
function disagreementsOf({ type, name, ending, declaredType, declared, second }: Findings): string[] {
  const given = /\.[a-z0-9]{1,10}$/i.exec(name)?.[0]
  return [
    ...(ending === 'differs' ? [`The name of the file ends in ${given}, but its content is ${type}.`] : []),
    ...(declared === 'differs' ? [`The file was sent as ${declaredType}, but its content is ${type}.`] : []),
    ...(second.flags.some((flag) => flag.startsWith('polyglot'))
      ? [`The file is ${type} and something else at the same time.`]
      : []),
  ]
}

function faultOf(
  { type, disagreements }: { type: string; disagreements: readonly string[] },
  { strictness, allow }: Wishes,
): Fault {
  if (!allow.some((pattern) => matches(pattern, type)))
    return { code: 'file_type_unsupported', detail: `Files of type ${type} are not allowed here.` }
  const [disagreement] = disagreements
  return strictness === 'strict' && disagreement !== undefined
    ? { code: 'file_unreadable', detail: disagreement }
    : null
}

function matches(pattern: string, type: string): boolean {
  const [kind, form] = pattern.split('/')
  const [ofKind, ofForm] = type.split('/')
  return (kind === '*' || kind === ofKind) && (form === '*' || form === ofForm)
}

async function checksumsOf(bytes: FileBytes, wanted: Wishes['checksums']): Promise<Record<string, string>> {
  if (wanted.length === 0) return {}
  const hashes = wanted.flatMap((name) => (name === 'crc32' ? [] : [{ name, hash: createHash(name) }]))
  let sum = 0
  for await (const piece of bytes.pieces()) {
    sum = crc32(piece, sum)
    for (const { hash } of hashes) hash.update(piece)
  }
  return {
    ...(wanted.includes('crc32') && { crc32: sum.toString(16).padStart(8, '0') }),
    ...Object.fromEntries(hashes.map(({ name, hash }) => [name, hash.digest('hex')])),
  }
}
