// A real Chromium without a window, and what the tests of the dashboard do with it all the time.

import axe from 'axe-core'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'
import { expect } from 'vitest'
import type { House } from '../e2e/house.ts'
import { projectFolder } from '../e2e/server-child.ts'

/** Without these, a Chromium as root does not start, and one without a network waits for its maker's servers. */
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
/** What leaves the browser for nowhere: the viewer of PDFs is an extension with resources of its own. */
const ownProtocols = ['blob:', 'data:', 'chrome:', 'chrome-extension:']
const pictureFolder = path.join(projectFolder, 'test-results')
const waitMsMax = 30_000

export const openBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env['MILLRACE_TEST_CHROMIUM'] ?? '/usr/bin/chromium',
    args: flags,
    headless: true,
  })

export interface Visit {
  readonly page: Page
  /** What the browser complained about: errors, refused scripts, requests to somewhere else. */
  readonly complaints: string[]
}

export interface VisitOptions {
  width?: number
  height?: number
  dark?: boolean
}

/** A page of its own, without memory of others. */
export async function openVisit(browser: Browser, house: House, options: VisitOptions = {}): Promise<Visit> {
  const context = await browser.newContext({
    baseURL: house.url,
    viewport: { width: options.width ?? 1_280, height: options.height ?? 900 },
    colorScheme: options.dark ? 'dark' : 'light',
    reducedMotion: 'reduce',
    acceptDownloads: true,
  })
  const page = await context.newPage()
  page.setDefaultTimeout(waitMsMax)
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url())
    if (origin !== house.url && !ownProtocols.includes(protocol)) complaints.push(`asked ${request.url()}`)
  })
  return { page, complaints }
}

/** Signs in with the login that the server printed. */
export async function signIn(page: Page, { credentials }: House): Promise<void> {
  await page.goto('/')
  await page.getByLabel('E-mail').fill(credentials.email)
  await page.getByLabel('Password').fill(credentials.password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.getByRole('heading', { name: 'Recent files' }).waitFor()
}

/** Signs in with the key, as often as one likes: of logins only so many are taken in a minute. */
export async function signInWithKey(page: Page, { credentials }: House): Promise<void> {
  await page.goto('/')
  await page.getByRole('button', { name: 'Use an API key instead' }).click()
  await page.getByLabel('API key').fill(credentials.api_key)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.getByRole('heading', { name: 'Recent files' }).waitFor()
}

/** Row of a file in the list of jobs. */
export const rowOf = (page: Page, name: string | RegExp) =>
  page
    .getByRole('list', { name: 'Jobs' })
    .getByRole('listitem')
    .filter({ has: page.getByRole('link', { name, exact: true }) })

/** No rule of WCAG that a program can check is broken. */
export async function proveAccessible(page: Page): Promise<void> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<{
    violations: { id: string; nodes: { html: string; failureSummary: string }[] }[]
  }>('axe.run(document)')
  const told = violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`),
  )
  expect(told, page.url()).toEqual([])
}

/** Keeps a picture of the page for people. */
export async function takePicture(page: Page, name: string): Promise<void> {
  mkdirSync(pictureFolder, { recursive: true })
  await page.screenshot({ path: path.join(pictureFolder, `${name}.png`), fullPage: true })
}

/** Lets files and folders of this machine fall onto the page, as a file manager does. */
export async function dropPaths(page: Page, paths: readonly string[]): Promise<void> {
  const session = await page.context().newCDPSession(page)
  const data = { items: [], files: [...paths], dragOperationsMask: 1 }
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await session.send('Input.dispatchDragEvent', { type, x: 400, y: 300, data })
  }
  await session.detach()
}
