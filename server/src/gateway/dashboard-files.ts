// The dashboard's built files, and its page for every path that is not a file: the dashboard routes by itself.

import { existsSync } from 'node:fs'
import path from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { dashboardPolicy } from './security-headers.ts'

/** Answers a page request with the dashboard, and says whether it did. */
export type PageFallback = (request: FastifyRequest, reply: FastifyReply) => boolean

const pageName = 'index.html'
/** Built files carry a hash in their names; they never change. */
const hashedFile = /[/\\]assets[/\\][^/\\]+$/

/** Serves the folder at the root; without a built dashboard there it serves nothing. */
export function mountDashboard(app: FastifyInstance, folder: string | undefined): PageFallback {
  if (folder === undefined || !existsSync(path.join(folder, pageName))) return () => false
  app.register(fastifyStatic, {
    root: path.resolve(folder),
    dotfiles: 'ignore',
    redirect: false,
    cacheControl: false,
    setHeaders(reply, filePath) {
      reply.header('content-security-policy', dashboardPolicy)
      reply.header('cache-control', hashedFile.test(filePath) ? 'public, max-age=31536000, immutable' : 'no-cache')
    },
  })
  return (request, reply) => {
    const isPage = request.method === 'GET' && (request.headers.accept ?? '').includes('text/html')
    if (!isPage || /^\/(api|metrics|healthz|readyz|docs|openapi\.json)(\/|\?|$)/.test(request.url)) return false
    reply.sendFile(pageName)
    return true
  }
}
