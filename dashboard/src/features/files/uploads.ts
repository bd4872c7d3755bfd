import { createContext, use, useSyncExternalStore } from 'react'
import type { UploadQueue, UploadSnapshot } from './upload-queue.ts'

/** The uploads outlive the page that started them, so that one may look around while they go on. */
export const UploadsContext = createContext<UploadQueue | null>(null)

export function useUploads(): UploadQueue {
  const queue = use(UploadsContext)
  if (!queue) throw new Error('useUploads stands outside UploadsContext.')
  return queue
}

export function useUploadSnapshot(): UploadSnapshot {
  const queue = useUploads()
  return useSyncExternalStore(queue.subscribe, queue.getSnapshot)
}
