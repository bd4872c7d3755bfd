// Names inside a zip: safe wherever it is unpacked, and no two that a file system would take for one.

import { downloadNameOf } from './file-name.ts'

/** What Windows takes for a device, whatever follows the first dot. */
const device = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)/iu

/** One name for each, in their order: its own, or with a number where another has it already. */
export function zipNames(names: readonly string[]): string[] {
  const taken = new Set<string>()
  /** Where counting goes on for a name that many have. */
  const next = new Map<string, number>()
  return names.map((given) => {
    const name = safeNameOf(given)
    const [, stem = name, ending = ''] = /^(.+?)(\.[^.]{1,20})?$/su.exec(name) ?? []
    const base = foldedName(name)
    let unique = name
    for (let number = next.get(base) ?? 2; taken.has(foldedName(unique)); number++) {
      unique = `${stem} (${number})${ending}`
      next.set(base, number + 1)
    }
    taken.add(foldedName(unique))
    return unique
  })
}

/** Without what Windows forbids or drops at the end. */
const safeNameOf = (name: string): string =>
  downloadNameOf(name)
    .replaceAll(/[<>"|?*]/g, '_')
    .replace(/[. ]+$/, '_')
    .replace(device, '_$&')

/** macOS and Windows take names for one that differ in case or in how their letters are composed. */
const foldedName = (name: string): string => name.normalize('NFC').toLowerCase().normalize('NFC')
