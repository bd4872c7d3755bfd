// The dashboard as a person meets it, in a real browser against the running product.

import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { Browser, FileChooser, Page, Response } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openHouse, type House } from '../e2e/house.ts'
import { runFile } from '../e2e/jobs.ts'
import * as images from '../fixtures/images.ts'
import { makePdf } from '../fixtures/pdf.ts'
import { csv, sales } from '../fixtures/tables.ts'
import { makeZip } from '../fixtures/archives.ts'
import { prose, utf8 } from '../fixtures/texts.ts'
import {
  dropPaths,
  openBrowser,
  openVisit,
  proveAccessible,
  rowOf,
  signIn,
  signInWithKey,
  takePicture,
} from './browser.ts'

let house: House
let browser: Browser
let folder: string
const fileIn = (name: string): string => path.join(folder, name)

beforeAll(async () => {
  ;[house, browser, folder] = await Promise.all([
    openHouse(),
    openBrowser(),
    mkdtemp(path.join(os.tmpdir(), 'millrace-drop-')),
  ])
  await mkdir(fileIn('trip/day one'), { recursive: true })
  await writeFile(fileIn('harbour.jpg'), await images.phoneJpeg({ width: 800, height: 600 }))
  await writeFile(fileIn('sales.csv'), csv(sales(400)))
  await writeFile(fileIn('trip/day one/letter.pdf'), makePdf([{ lines: prose }, { lines: ['Second page'] }]))
  await writeFile(fileIn('trip/notes.txt'), prose.join('\n'))
  await writeFile(fileIn('locked.pdf'), makePdf([{ lines: prose }], 'secret'))
  await writeFile(fileIn('bundle.zip'), makeZip([{ name: 'inside.txt', content: 'Inside the bundle.\n' }]))
}, 120_000)
afterAll(async () => {
  await browser?.close()
  await house?.close()
  await rm(folder, { recursive: true, force: true })
})

const pick = (page: Page, label: string, paths: string | string[]): Promise<void> =>
  page.locator(`input[aria-label="${label}"]`).setInputFiles(paths)
const badge = (page: Page, name: string | RegExp, text: string) => rowOf(page, name).getByText(text, { exact: true })

describe('signing in', () => {
  test('a wrong password is told, and the printed login lets in', async () => {
    const { page } = await openVisit(browser, house)
    await page.goto('/')
    await proveAccessible(page)
    await takePicture(page, 'sign-in')
    await page.getByLabel('E-mail').fill(house.credentials.email)
    await page.getByLabel('Password').fill('wrong')
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.getByRole('alert').getByText('E-mail or password is wrong.').waitFor()
    await proveAccessible(page)
    await signIn(page, house)
    await proveAccessible(page)
    await takePicture(page, 'empty')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in to Millrace' }).waitFor()
    await page.context().close()
  })

  test('an API key lets in too', async () => {
    const { page } = await openVisit(browser, house)
    await signInWithKey(page, house)
    await page.context().close()
  })
})

describe('files', () => {
  test('picked and dropped ones, folders too, run through their steps before one’s eyes', async () => {
    const { page, complaints } = await openVisit(browser, house)
    await signInWithKey(page, house)
    await page.getByText('Live', { exact: true }).waitFor()
    await pick(page, 'Choose files', fileIn('harbour.jpg'))
    await dropPaths(page, [fileIn('sales.csv'), fileIn('trip')])
    for (const name of ['harbour.jpg', 'sales.csv', /letter\.pdf$/, /notes\.txt$/]) {
      await badge(page, name, 'Completed').waitFor()
    }
    await proveAccessible(page)
    await takePicture(page, 'files')
    expect(complaints).toEqual([])
    await page.context().close()
  })

  test('a folder can be picked as well, and an archive shows what was inside', async () => {
    const { page } = await openVisit(browser, house)
    await signInWithKey(page, house)
    await pick(page, 'Choose a folder', fileIn('trip'))
    await page.getByRole('group', { name: 'Uploads' }).getByText('2 files uploaded').waitFor()
    await pick(page, 'Choose files', fileIn('bundle.zip'))
    await badge(page, 'bundle.zip', 'Completed').waitFor()
    await page.getByRole('link', { name: 'bundle.zip', exact: true }).click()
    await page.getByRole('heading', { name: 'Files inside' }).waitFor()
    await page.getByRole('link', { name: /inside\.txt$/ }).waitFor()
    await proveAccessible(page)
    await takePicture(page, 'archive')
    await page.context().close()
  })

  test('outputs open, and what is downloaded is what was made', async () => {
    const job = await runFile(house.client, { name: 'view.png', bytes: await images.png({ width: 640, height: 480 }) })
    const { page, complaints } = await openVisit(browser, house)
    await signInWithKey(page, house)
    await page.goto(`/jobs/${job.job_id}`)
    await page.getByRole('heading', { name: 'view.png' }).waitFor()
    await proveAccessible(page)
    await takePicture(page, 'job-image')
    const picture = job.outputs.find(({ content_type: type }) => type.startsWith('image/'))
    await page.getByRole('button', { name: `Open ${picture?.name}` }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('img').waitFor()
    expect(await page.evaluate<number>(`document.querySelector('dialog img').naturalWidth`)).toBeGreaterThan(0)
    await proveAccessible(page)
    await takePicture(page, 'output')
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: `Download ${picture?.name}` }).click(),
    ])
    const bytes = await readFile(await download.path())
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(picture?.sha256)
    expect(complaints).toEqual([])
    await page.context().close()
  })

  test('a PDF, uploaded or made, is shown in a frame of its own that may do nothing', async () => {
    const made = await runFile(house.client, { name: 'rows.csv', bytes: utf8(csv(sales(20))) })
    const sent = await runFile(house.client, { name: 'letter.pdf', bytes: makePdf([{ lines: prose }]) })
    const { page, complaints } = await openVisit(browser, house)
    await signInWithKey(page, house)
    const answers: Response[] = []
    page.on('response', (response) => void (response.url().includes('frame=true') && answers.push(response)))

    async function proveShown(name: string): Promise<void> {
      const frame = page.getByRole('dialog').locator('iframe')
      await frame.waitFor()
      expect(await frame.getAttribute('title')).toBe(`Pages of ${name}`)
      // The viewer of the browser stands in the frame, not a page that says why it is blocked.
      await expect.poll(() => page.frames().some((frame) => frame.url().startsWith('chrome-extension:'))).toBe(true)
      // The viewer answers itself once more, under the same address.
      const headers = await Promise.all(answers.splice(0).map((answer) => answer.allHeaders()))
      expect(headers).toContainEqual(
        expect.objectContaining({
          'content-type': 'application/pdf',
          'content-security-policy': "default-src 'none'; frame-ancestors 'self'; sandbox",
          'x-content-type-options': 'nosniff',
        }),
      )
    }

    await page.goto(`/jobs/${made.job_id}`)
    await page.getByRole('button', { name: 'analysis_report.pdf', exact: true }).click()
    await proveShown('analysis_report.pdf')
    await proveAccessible(page)
    await takePicture(page, 'output-pdf')
    await page.getByRole('button', { name: 'Close' }).click()
    await page.goto(`/files/${sent.file_id}`)
    await page.getByRole('button', { name: 'View' }).click()
    await proveShown('letter.pdf')
    await proveAccessible(page)
    await takePicture(page, 'file-pdf')
    expect(complaints).toEqual([])
    await page.context().close()
  })

  test('a table’s job shows its figures, its CSV and its report', async () => {
    const job = await runFile(house.client, { name: 'figures.csv', bytes: utf8(csv(sales(120))) })
    const { page } = await openVisit(browser, house)
    await signInWithKey(page, house)
    await page.goto(`/jobs/${job.job_id}`)
    await page.getByRole('button', { name: 'processed_data.csv', exact: true }).click()
    await page
      .getByRole('dialog')
      .getByText(/id,day,town/)
      .first()
      .waitFor()
    await takePicture(page, 'output-csv')
    await page.keyboard.press('Escape')
    await proveAccessible(page)
    await takePicture(page, 'job-table')
    await page.getByRole('link', { name: 'File and metadata' }).click()
    await page.getByRole('heading', { name: 'figures.csv' }).waitFor()
    await proveAccessible(page)
    await takePicture(page, 'file')
    await page.context().close()
  })
})

describe('a file that failed', () => {
  test('says why and what to do, and can be tried again', async () => {
    const { page } = await openVisit(browser, house)
    await signInWithKey(page, house)
    await pick(page, 'Choose files', fileIn('locked.pdf'))
    await badge(page, 'locked.pdf', 'Failed').waitFor()
    await page.getByRole('link', { name: 'locked.pdf', exact: true }).click()
    await page.getByText('Remove the password and upload it again.').first().waitFor()
    await page.getByText('file_encrypted').first().waitFor()
    await proveAccessible(page)
    await takePicture(page, 'job-failed')
    await page.getByRole('button', { name: 'Retry' }).click()
    await page.getByText('The job runs again').waitFor({ state: 'attached' })
    await page.getByText('Remove the password and upload it again.').first().waitFor()
    await page.context().close()
  })
})

describe('search', () => {
  test('finds by a word in a document, as one types', async () => {
    await runFile(house.client, { name: 'manual.pdf', bytes: makePdf([{ lines: ['The hydraulic ram pump'] }]) })
    const { page } = await openVisit(browser, house)
    await signInWithKey(page, house)
    await page.keyboard.press('/')
    await page.keyboard.type('hydraulic')
    await page.getByRole('list', { name: 'Results' }).getByRole('link', { name: 'manual.pdf' }).waitFor()
    await proveAccessible(page)
    await takePicture(page, 'search')
    await page.getByRole('link', { name: 'manual.pdf' }).click()
    await page.getByRole('heading', { name: 'manual.pdf' }).waitFor()
    await page.context().close()
  })
})

describe('every other page', () => {
  test.each(['/pipelines', '/search', '/nowhere', '/jobs/job_0', '/files/file_0'])(
    '%s is whole and accessible',
    async (address) => {
      const { page } = await openVisit(browser, house)
      await signInWithKey(page, house)
      await page.goto(address)
      await page.getByRole('main').getByText(/\w/).first().waitFor()
      await page.getByText('Live', { exact: true }).waitFor({ state: 'attached' })
      await proveAccessible(page)
      await takePicture(page, `page${address.replaceAll('/', '-')}`)
      await page.context().close()
    },
  )

  test.each([
    ['dark', { dark: true }],
    ['narrow', { width: 360, height: 740 }],
    ['narrow and dark', { width: 360, height: 740, dark: true }],
  ])('%s: nothing is lost or unreadable', async (name, options) => {
    const job = await runFile(house.client, {
      name: `${'very long name '.repeat(8)}.png`,
      bytes: await images.png({ width: 90, height: 60 }),
    })
    const { page } = await openVisit(browser, house, options)
    await signInWithKey(page, house)
    for (const address of ['/', `/jobs/${job.job_id}`, `/files/${job.file_id}`, '/pipelines', '/search?q=very']) {
      await page.goto(address)
      await page.getByRole('main').getByText(/\w/).first().waitFor()
      await page.getByText('Live', { exact: true }).waitFor({ state: 'attached' })
      const overflow = await page.evaluate<number>(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      )
      expect(overflow, `${address} scrolls sideways`).toBeLessThanOrEqual(0)
      await proveAccessible(page)
      await takePicture(page, `${name}${address.replaceAll(/[^a-z]+/g, '-')}`.replaceAll(' ', '-'))
    }
    await page.context().close()
  })
})

describe('without a mouse', () => {
  /** Presses Tab until what is wanted has the focus. */
  async function tabTo(page: Page, name: RegExp, pressesMax = 60): Promise<void> {
    for (let press = 0; press < pressesMax; press++) {
      await page.keyboard.press('Tab')
      const told = await page.evaluate<string>(
        `(() => { const e = document.activeElement; return e?.getAttribute('aria-label') ?? e?.labels?.[0]?.textContent ?? e?.textContent ?? '' })()`,
      )
      if (!name.test(told.trim())) continue
      const visible = await page.evaluate<boolean>(`document.activeElement.matches(':focus-visible')`)
      expect(visible, `the focus on ${told} can be seen`).toBe(true)
      return
    }
    throw new Error(`${name} cannot be reached by Tab`)
  }

  /** Presses Enter on the button, again when no dialog has come: the page may have been drawn anew under the first. */
  async function chooseByKey(page: Page): Promise<FileChooser> {
    for (let press = 0; press < 5; press++) {
      await tabTo(page, /^Choose files$/)
      const waited = page.waitForEvent('filechooser', { timeout: 10_000 }).catch(() => undefined)
      await page.keyboard.press('Enter')
      const chooser = await waited
      if (chooser !== undefined) return chooser
    }
    throw new Error('Enter on "Choose files" opens no dialog')
  }

  test('one signs in, chooses files, opens a job and an output, and searches', async () => {
    await runFile(house.client, { name: 'keyboard.txt', bytes: utf8(prose.join('\n')) })
    const { page } = await openVisit(browser, house)
    await page.goto('/')
    await tabTo(page, /^E-mail$/)
    await page.keyboard.type(house.credentials.email)
    await tabTo(page, /^Password$/)
    await page.keyboard.type(house.credentials.password)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Recent files' }).waitFor()

    await tabTo(page, /^Skip to content$/)
    await page.keyboard.press('Enter')
    const chooser = await chooseByKey(page)
    await chooser.setFiles({ name: 'typed.txt', mimeType: 'text/plain', buffer: utf8('Typed.\n') })
    await badge(page, 'typed.txt', 'Completed').waitFor()

    await tabTo(page, /^keyboard\.txt$/)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'keyboard.txt' }).waitFor()
    await tabTo(page, /\.txt$/)
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })

    await page.keyboard.press('/')
    await page.keyboard.type('typed.txt')
    await page.getByRole('list', { name: 'Results' }).getByRole('link', { name: 'typed.txt' }).waitFor()
    await page.context().close()
  })
})
