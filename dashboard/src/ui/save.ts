// Bytes into a file on the reader's machine.

interface SaveFilePicker {
  showSaveFilePicker(options: {
    suggestedName: string
  }): Promise<{ createWritable(): Promise<WritableStream<Uint8Array>> }>
}

const revokeAfterMs = 60_000

/** Whether this browser can write a download to disk as it arrives, instead of holding it in memory first. */
export const canStreamToDisk = (browser: object): browser is SaveFilePicker => 'showSaveFilePicker' in browser

/** Asks where to save, then streams; must be called from a click. Resolves false when the person cancels. */
export async function saveStream(
  picker: SaveFilePicker,
  name: string,
  open: () => Promise<Response>,
): Promise<boolean> {
  let handle: Awaited<ReturnType<SaveFilePicker['showSaveFilePicker']>>
  try {
    handle = await picker.showSaveFilePicker({ suggestedName: name })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return false
    throw error
  }
  const response = await open()
  if (!response.body) throw new Error('The download has no content.')
  await response.body.pipeTo(await handle.createWritable())
  return true
}

/** Saves a blob under a name through the browser's own download. */
export function saveBlob(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  document.body.append(link)
  link.click()
  link.remove()
  setTimeout(() => URL.revokeObjectURL(url), revokeAfterMs)
}
