// What each role runs. A role is a list of services, started in order and stopped in reverse, so that the way in opens
// last and closes first.

import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { reportFigures } from '../analytics/figures-metrics.ts'
import type { Routes } from '../gateway/operation-routes.ts'
import { createGateway, type Gateway } from '../gateway/gateway.ts'
import type { ReadinessCheck } from '../gateway/readiness.ts'
import { createMaintenance } from '../maintenance/maintenance.ts'
import type { RoleName } from '../platform/config.ts'
import type { Service } from '../platform/service.ts'
import { createTaskDesk, heartbeatMs } from '../processing/desk.ts'
import { findObject } from '../storage/object.sql.ts'
import { createWorkerRegistration } from '../worker/registration.ts'
import { createSandbox } from '../worker/sandbox/choose.ts'
import { createTaskLoop } from '../worker/task-loop.ts'
import type { Features } from './features.ts'
import type { Parts } from './parts.ts'

export interface RoleServices {
  services: Service[]
  /** Every role has one: those without operations answer probes and metrics with it. */
  gateway: Gateway
  /** What the role adds to the parts, for people. */
  descriptions: Record<string, string>
}

export async function createServices(parts: Parts, features: Features, port: number): Promise<RoleServices> {
  const { role } = parts.config
  const runs = (name: RoleName): boolean => role === 'all' || role === name
  const gateway = createRoleGateway(parts, features, port)
  if (runs('maintenance')) reportFigures({ metrics: parts.metrics, figures: features.figures })
  const worker = runs('worker') ? await createWorker(parts, features) : undefined
  return {
    gateway,
    services: [
      ...(runs('maintenance') ? createMaintenance({ ...parts, ...features, bytes: { ...parts, ...features } }) : []),
      ...(worker?.services ?? []),
      ...(runs('upload') ? features.uploadServices : []),
      ...(runs('api') ? [features.eventStream] : []),
      gateway,
    ],
    descriptions: worker?.descriptions ?? {},
  }
}

function createRoleGateway(parts: Parts, features: Features, port: number): Gateway {
  const { config } = parts
  const { role, host, trustProxy } = config
  return createGateway({
    ...parts,
    routes: routesOf(role, features),
    authenticator: features.auth,
    readiness: readinessOf(parts),
    host,
    port,
    trustProxy,
    ...((role === 'all' || role === 'api') && { dashboardFolder }),
  })
}

const dashboardFolder = fileURLToPath(new URL('../../../dashboard/dist', import.meta.url))

function routesOf(role: RoleName, { apiRoutes, uploadRoutes }: Features): Routes {
  if (role === 'all') return { ...apiRoutes, ...uploadRoutes }
  if (role === 'api') return apiRoutes
  return role === 'upload' ? uploadRoutes : {}
}

const readinessOf = (parts: Parts): Record<string, ReadinessCheck> => ({
  database: () => parts.database.query('select 1'),
  store: (signal) => checkStore(parts, signal),
})

const checkStore = ({ objectStore }: Parts, signal: AbortSignal): Promise<unknown> =>
  objectStore.head('probe/readiness', { signal })

interface WorkerServices {
  services: Service[]
  descriptions: Record<string, string>
}

async function createWorker(parts: Parts, features: Features): Promise<WorkerServices> {
  const { config, database, ids } = parts
  const worker = `worker_${ids.randomHex(8)}`
  const sandbox = await createSandbox({
    ...parts,
    level: config.sandbox,
    scratchFolder: path.join(config.dataFolder, 'scratch'),
    slotsCount: config.workerSlotsCount,
  })
  const desk = createTaskDesk({ ...parts, ...features, store: features.engineStore, worker })
  const loop = createTaskLoop({
    ...parts,
    desk,
    sandbox,
    slotsCount: config.workerSlotsCount,
    checkStore: (signal) => checkStore(parts, signal),
    findObject: (objectId) => findObject(database, objectId),
    heartbeatMs,
  })
  return {
    services: [loop, createWorkerRegistration({ ...parts, worker, sandbox, loop })],
    descriptions: {
      workers: `${config.workerSlotsCount} tasks at once`,
      sandbox: `${sandbox.level}: ${sandbox.description}`,
    },
  }
}
