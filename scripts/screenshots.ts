/**
 * `node scripts/screenshots.ts [FOLDER]`: takes the dashboard's screenshots for docs/images, with made-up deliveries.
 * `node scripts/screenshots.ts FOLDER all`: takes screenshots of every page, wide and narrow, light and dark.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { readConfig } from '../relay/config/config.ts'
import { createRelay } from '../relay/relay.ts'
import { startGitHubApi } from '../simulator/github/github.ts'
import { openBrowser } from '../test/support/browser.ts'
import { send } from '../test/support/send.ts'
import { SECRET } from '../test/support/sign.ts'
import { placeDay } from './place-day.ts'

const folder = process.argv[2] ?? join(import.meta.dirname, '../docs/images')
const token = 'an-admin-token-of-some-length'
const data = mkdtempSync(join(tmpdir(), 'screenshots-'))
const path = join(data, 'relay.db')
const ids = await placeDay(path)
const github = await startGitHubApi()
github.failures.tooMany(3600, { times: Number.POSITIVE_INFINITY })
const relay = await createRelay(
  readConfig({
    HOST: '127.0.0.1',
    PORT: '0',
    PORT_CLIENT_SECRET: SECRET,
    RELAY_ADMIN_TOKEN: token,
    RELAY_DATABASE: `sqlite:${path}`,
    RELAY_ALLOWED_REPOSITORIES: 'acme/*',
    ...{ RELAY_PUBLIC_URL: 'https://relay.example.com', RELAY_CHECK_PUBLIC_URL: 'false' },
    GITHUB_API_URL: github.url,
    GITHUB_TOKEN: github.token,
  }),
  pino({ level: 'silent' }),
)
const url = `http://127.0.0.1:${relay.port}`
for (let i = 0; i < 3; i++) await send(url, { secret: 'wrong' })
await send(url, { path: '/webhook/other/shop' })
const browser = await openBrowser()
if (typeof browser === 'string') throw new Error(browser)
const context = await browser.newContext()
const tab = await context.newPage()

async function shoot(
  name: string,
  page: string,
  options: { dark?: boolean; width?: number; fullPage?: boolean } = {},
) {
  const { dark = false, width = 1280, fullPage = false } = options
  await tab.setViewportSize({ width, height: width < 500 ? 760 : 860 })
  await tab.emulateMedia({ colorScheme: dark ? 'dark' : 'light' })
  await tab.goto(url + page)
  await tab.screenshot({ path: join(folder, name), fullPage })
}

const isAll = process.argv[3] === 'all'

/** Takes screenshots of a page, wide and narrow, light and dark. */
async function shootAll(name: string, page: string) {
  if (!isAll) return
  for (const width of [1280, 360])
    for (const dark of [false, true])
      await shoot(`${name}-${width}${dark ? '-dark' : ''}.png`, page, { dark, width, fullPage: page !== '/' })
}

await shootAll('sign-in', '/')
await tab.goto(url)
await tab.getByLabel('Token').fill(token)
await tab.getByRole('button', { name: 'Sign in' }).click()
await shoot('dashboard.png', '/')
await shoot('dashboard-delivery.png', `/deliveries/${ids.approval}`)
const pages = {
  list: '/',
  'not-started': '/?outcome=not_started',
  nothing: '/?q=nothing&since=1h',
  delivery: `/deliveries/${ids.approval}`,
  failed: `/deliveries/${ids.failed}`,
  redeliver: `/deliveries/${ids.failed}/redeliver`,
  cancel: `/deliveries/${ids.approval}/cancel`,
  bulk: '/redeliver?outcome=not_started',
  refused: '/refused',
  freezes: '/freezes',
  status: '/status',
  'not-found': '/deliveries/unknown',
}
for (const [name, page] of Object.entries(pages)) await shootAll(name, page)

// The same pages with deploy freezes, and with queued deliveries that wait for them and for the rate limit.
if (isAll) {
  await tab.goto(`${url}/freezes`)
  await tab.getByLabel('Repositories').fill('acme/billing')
  await tab.getByLabel('Reason').fill('Release 4.2')
  await tab.getByRole('button', { name: 'Freeze' }).click()
  const queue = async (action: string, path: string) =>
    send(url, { path, body: { run: { id: `r_${action}` }, action: { identifier: action }, inputs: {} } })
  for (const [action, repository] of [
    ['deploy_service', 'acme/shop'],
    ['restart_service', 'acme/shop'],
    ['rotate_secret', 'acme/billing'],
  ] as const)
    await queue(action, `/webhook/${repository}`)
  await tab.waitForTimeout(2_000)
  await shootAll('queued', '/')
  await shootAll('frozen', '/freezes')
  await shootAll('frozen-redeliver', `/deliveries/${ids.failed}/redeliver`)
}
await browser.close()
await relay.stop()
await github.close()
rmSync(data, { recursive: true })
