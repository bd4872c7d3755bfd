// Files out of a drop or a picker, folders walked to the bottom. The browser hands a folder out in batches, and only
// while the drop is being handled, so the entries are taken first and read afterwards.

export interface DroppedFile {
  file: File
  /** Folders and name, e.g. trip/day 1/harbour.jpg. */
  path: string
}

export interface DroppedFiles {
  files: DroppedFile[]
  /** Files that a system keeps for itself and that nobody means to upload. */
  leftOutCount: number
  /** Files that could not be read. */
  unreadableCount: number
  /** True when there were more files than one drop may bring. */
  cut: boolean
}

/** What one drop may bring; beyond it the command line is the better tool. */
export const droppedFilesCountMax = 10_000

const systemFiles = new Set(['.DS_Store', 'Thumbs.db', 'desktop.ini'])
const isSystemFile = (name: string): boolean => systemFiles.has(name) || name.startsWith('._')

/** Takes the entries out of a drop; must be called before the event handler gives way. */
export function entriesOfDrop(transfer: DataTransfer): FileSystemEntry[] {
  return [...transfer.items]
    .filter((item) => item.kind === 'file')
    .map((item) => item.webkitGetAsEntry())
    .filter((entry) => entry !== null)
}

/** Every file below the entries, in the order in which the browser lists them. */
export async function filesOfEntries(entries: FileSystemEntry[]): Promise<DroppedFiles> {
  const found: DroppedFiles = { files: [], leftOutCount: 0, unreadableCount: 0, cut: false }
  const open = entries.toReversed()
  for (let entry = open.pop(); entry; entry = open.pop()) {
    if (found.files.length >= droppedFilesCountMax) {
      found.cut = true
      break
    }
    try {
      if (isDirectory(entry)) open.push(...(await readDirectory(entry)).toReversed())
      else if (isSystemFile(entry.name)) found.leftOutCount += 1
      else if (isFile(entry)) found.files.push({ file: await readFile(entry), path: relativePath(entry.fullPath) })
    } catch {
      found.unreadableCount += 1
    }
  }
  return found
}

/** The files of an <input type="file">, with their folders when it picked one. */
export function filesOfPicker(list: Iterable<File>): DroppedFiles {
  const all = [...list]
  const wanted = all.filter((file) => !isSystemFile(file.name))
  const files = wanted
    .slice(0, droppedFilesCountMax)
    .map((file) => ({ file, path: relativePath(file.webkitRelativePath || file.name) }))
  return {
    files,
    leftOutCount: all.length - wanted.length,
    unreadableCount: 0,
    cut: wanted.length > droppedFilesCountMax,
  }
}

// The two kinds of entry are told apart by their flags; the interface has no discriminated union of them.
const isDirectory = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory
const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile
const relativePath = (path: string): string => path.replace(/^\/+/, '')

const readFile = (entry: FileSystemFileEntry): Promise<File> =>
  new Promise((resolve, reject) => entry.file(resolve, reject))

/** A reader hands out at most a hundred entries at a time; an empty batch is the end. */
async function readDirectory(directory: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = directory.createReader()
  const entries: FileSystemEntry[] = []
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (batch.length === 0 || entries.length > droppedFilesCountMax) return entries
    entries.push(...batch)
  }
}
