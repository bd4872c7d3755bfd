// roles/ puts the server together: parts.ts opens what it runs on, features.ts makes each feature once over them,
// services.ts says which of those a role runs, operations.ts does what is done without serving. It is the only folder
// where anything is constructed, and it decides nothing itself: no rule about a file or a job stands here.
// Invariants: services start in their order and stop in the reverse one; what cannot start leaves nothing open; one
// process has a data folder at a time.
//
// This file runs the services of a role over its parts, from the lock of the data folder to the way out.

import type { Config } from '../platform/config.ts'
import { startServices } from '../platform/lifecycle.ts'
import { bannerOf } from './banner.ts'
import { createFeatures } from './features.ts'
import { ensureCredentials } from './first-start.ts'
import { lockEmbedded } from './operations.ts'
import { openParts } from './parts.ts'
import { choosePort } from './port.ts'
import { createServices } from './services.ts'

export interface RunningServer {
  /** For the person who started it. */
  readonly banner: string
  readonly url: string
  /** Resolves when everything is let go of, at the latest a moment after the deadline. */
  stop(deadlineMs: number): Promise<void>
}

/** Throws Problem setting_invalid, database_unavailable, storage_unavailable; nothing is left running then. */
export async function serve(config: Config, { pid }: { pid: number }): Promise<RunningServer> {
  const lock = await lockEmbedded(config, pid)
  const parts = await openParts(config).catch(async (error: unknown) => {
    await lock?.release()
    throw error
  })
  const letGo = async (): Promise<void> => {
    await parts.close()
    await lock?.release()
  }
  try {
    const features = await createFeatures(parts)
    const { services, gateway, descriptions } = await createServices(
      parts,
      features,
      await choosePort(config.host, config.port),
    )
    Object.assign(parts.descriptions, descriptions)
    const running = await startServices(services, parts)
    const url = config.publicUrl ?? gateway.url()
    const credentials = hasApi(config) ? await ensureCredentials({ ...config, ...features, ...parts, url }) : undefined
    return {
      url,
      banner: bannerOf({ ...config, url, descriptions: parts.descriptions, credentials }),
      async stop(deadlineMs) {
        await running.stop(deadlineMs)
        await letGo()
      },
    }
  } catch (error) {
    await letGo()
    throw error
  }
}

const hasApi = ({ role }: Config): boolean => role === 'all' || role === 'api'
