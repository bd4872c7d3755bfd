// Puts the page together: opens the door to the server, makes the queue of uploads, and hands both down.

import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiContext, createApi } from './api.ts'
import { App } from './app.tsx'
import { createUploadQueue } from './features/files/upload-queue.ts'
import { UploadsContext } from './features/files/uploads.ts'

function start(root: HTMLElement): void {
  const api = createApi(window)
  const uploads = createUploadQueue({
    send: (request) => api.upload(request),
    nowMs: () => Date.now(),
    later: (delayMs, work) => void setTimeout(work, delayMs),
    newKey: randomKey,
    random: () => Math.random(),
  })
  createRoot(root).render(
    <StrictMode>
      <ApiContext value={api}>
        <UploadsContext value={uploads}>
          <App />
        </UploadsContext>
      </ApiContext>
    </StrictMode>,
  )
}

/** 128 random bits; crypto.randomUUID is missing on plain HTTP from another machine, this is not. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

const root = document.getElementById('root')
if (root) start(root)
