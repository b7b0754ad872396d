/**
 * `node scripts/screenshots.ts [FOLDER]`: takes the dashboard's screenshots for docs/images, with made-up deliveries.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { readConfig } from '../relay/config/config.ts'
import { createRelay } from '../relay/relay.ts'
import { openBrowser } from '../test/support/browser.ts'
import { send } from '../test/support/send.ts'
import { SECRET } from '../test/support/sign.ts'
import { startGitHubApi } from '../tools/simulator/github/github.ts'
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

async function shoot(name: string, page: string, options: { dark?: boolean; width?: number } = {}) {
  const { dark = false, width = 1280 } = options
  if (typeof browser === 'string') return
  const tab = await browser.newPage({
    viewport: { width, height: width < 500 ? 760 : 860 },
    colorScheme: dark ? 'dark' : 'light',
  })
  await tab.goto(url)
  await tab.getByLabel('Token').fill(token)
  await tab.getByRole('button', { name: 'Sign in' }).click()
  await tab.goto(url + page)
  await tab.screenshot({ path: join(folder, name), fullPage: width < 500 ? false : undefined })
  await tab.close()
}
await shoot('dashboard.png', '/')
await shoot('dashboard-dark.png', '/?outcome=not_started', { dark: true })
await shoot('dashboard-delivery.png', `/deliveries/${ids.approval}`)
await shoot('dashboard-narrow.png', '/', { width: 360 })
if (process.argv[3] === 'all') {
  await shoot('failed.png', `/deliveries/${ids.failed}`, { dark: true })
  await shoot('delivery-narrow.png', `/deliveries/${ids.approval}`, { width: 360 })
  await shoot('bulk.png', '/redeliver?outcome=not_started')
  await shoot('refused.png', '/refused')
  await shoot('status.png', '/status')
  await shoot('confirm.png', `/deliveries/${ids.failed}/redeliver`)
}
await browser.close()
await relay.stop()
await github.close()
rmSync(data, { recursive: true })
