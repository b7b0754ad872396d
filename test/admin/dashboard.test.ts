import { readFileSync } from 'node:fs'
import type { AxeResults } from 'axe-core'
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, type TestContext, test } from 'vitest'
import type { DeliveryEvent } from '../../relay/delivery/events.ts'
import { until } from '../../simulator/http-server.ts'
import { aRun } from '../store/place.ts'
import { openBrowser } from '../support/browser.ts'
import { ADMIN_TOKEN, send, VIEW_TOKEN } from '../support/requests.ts'
import { openWithDeliveries, REJECTED, running } from './place-deliveries.ts'

const AXE = readFileSync(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8')

let browser: Browser | string
beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(async () => {
  if (typeof browser !== 'string') await browser.close()
})

/** Starts a relay with these deliveries, a fake Port, and a fake GitHub. GitHub rate limits every dispatch. */
async function openScene(context: TestContext, placed: Parameters<typeof openWithDeliveries>[0]) {
  if (typeof browser === 'string') return context.skip(browser)
  const chromium = browser
  const opened = await openWithDeliveries(placed)
  /** Opens a tab without a session, and records its console output. */
  const open = async (options?: BrowserContextOptions) => {
    const tabs = await chromium.newContext(options)
    onTestFinished(() => tabs.close())
    const page = await tabs.newPage()
    page.setDefaultTimeout(60_000)
    const errors: string[] = []
    page.on('pageerror', error => void errors.push(String(error)))
    page.on('console', line => void (line.type() === 'error' && errors.push(line.text())))
    return { page, errors }
  }
  return {
    ...opened,
    open,
    async signedIn(options?: BrowserContextOptions, token = ADMIN_TOKEN) {
      const tab = await open(options)
      await tab.page.goto(opened.relay.url)
      await signIn(tab.page, token)
      await tab.page.getByRole('heading', { name: 'Deliveries' }).waitFor()
      tab.errors.length = 0
      return tab
    },
  }
}

async function signIn(page: Page, token: string) {
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

/** Runs axe-core and returns its serious findings. Injects the script from outside of the page, because the page's CSP would block it. */
async function seriousFindings(page: Page, rules = '{}'): Promise<string[]> {
  if (await page.evaluate(`typeof axe === 'undefined'`)) await page.evaluate(AXE)
  const { violations } = (await page.evaluate(`axe.run(${rules})`)) as AxeResults
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html).join(' ')}`)
}

const rows = (page: Page) => page.locator('.rows li')
const titles = (page: Page) => page.locator('.timeline h3').allInnerTexts()

test('the dashboard requires a session, whose cookie does not contain the token, until the user signs out', async context => {
  const { relay, open, ids } = await openScene(context, [{ runId: 'r_1', events: REJECTED }])
  const { page } = await open()
  const response = await page.goto(`${relay.url}/deliveries/${ids[0]}`)
  expect(response!.status()).toBe(401)
  expect(await page.content()).not.toContain('rejected')
  await signIn(page, 'not the token of this relay')
  expect(await page.getByRole('alert').textContent()).toBe(
    'The token is wrong: use RELAY_ADMIN_TOKEN or RELAY_VIEW_TOKEN.',
  )
  await signIn(page, ADMIN_TOKEN)
  await page.waitForURL(`${relay.url}/deliveries/${ids[0]}`)
  const [cookie] = await page.context().cookies()
  expect(cookie).toMatchObject({ name: 'relay_session', httpOnly: true, sameSite: 'Lax', path: '/' })
  expect(cookie!.value).not.toContain(ADMIN_TOKEN)
  expect(await page.evaluate('document.cookie')).toBe('')
  expect(relay.printed()).toContain('a dashboard form was submitted')
  expect(relay.printed()).not.toContain(ADMIN_TOKEN)
  expect((await page.goto(`${relay.url}/nowhere`))!.status()).toBe(404)
  expect(await page.locator('h1 + p').textContent()).toContain('There is nothing at this address')
  await page.goto(relay.url)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Token').waitFor()
  expect((await page.goto(relay.url))!.status()).toBe(401)
})

test('after wrong tokens, further sign-in attempts of the sender are limited, even with the correct token', async context => {
  const { relay } = await openScene(context, [])
  const tryToken = (token: string, headers: Record<string, string> = {}) => {
    const body = new URLSearchParams({ token, next: '//elsewhere.example' })
    return fetch(`${relay.url}/sign-in`, { method: 'POST', redirect: 'manual', body, headers })
  }
  const proxied = { origin: 'https://relay.example.com', 'x-forwarded-host': 'relay.example.com' }
  const right = await tryToken(ADMIN_TOKEN, proxied)
  expect([right.status, right.headers.get('location')]).toEqual([303, '/'])
  expect(right.headers.get('set-cookie')).toMatch(/; HttpOnly; Secure; SameSite=Lax$/)
  const cookie = right.headers.get('set-cookie')!.split(';')[0]!
  const empty = await fetch(relay.url, { headers: { cookie } })
  expect(await empty.text()).toMatch(new RegExp(`${relay.url}/webhook<.* send --action NAME<`, 's'))
  const statuses: number[] = []
  for (let i = 0; i < 12; i++) statuses.push((await tryToken(`wrong ${i}`)).status)
  expect(statuses.slice(0, 9)).toEqual(Array(9).fill(401))
  const late = await tryToken(ADMIN_TOKEN)
  expect([statuses[11], late.status]).toEqual([429, 429])
  expect(Number(late.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await late.text()).toMatch(/Too many sign-in attempts: wait \d+ s\./)
})

test('a view token changes nothing, and forms from another site or without a CSRF token are refused', async context => {
  const { relay, signedIn, open, ids } = await openScene(context, [{ runId: 'r_1', events: REJECTED }])
  const { page } = await signedIn({}, VIEW_TOKEN)
  expect(await page.getByText('View only').isVisible()).toBe(true)
  await page.goto(`${relay.url}/deliveries/${ids[0]}`)
  expect(await page.getByRole('link', { name: 'Redeliver…' }).count()).toBe(0)
  expect((await page.goto(`${relay.url}/deliveries/${ids[0]}/redeliver`))!.status()).toBe(403)
  expect((await page.goto(`${relay.url}/redeliver?state=failed`))!.status()).toBe(403)
  const post = async (tab: Page, path: string, form: Record<string, string>, headers = {}) => {
    const options = { form, headers, maxRedirects: 0 }
    return (await tab.request.post(relay.url + path, options)).status()
  }
  await page.goto(relay.url)
  const csrfOf = (tab: Page) => tab.locator('input[name=csrf]').first().inputValue()
  const viewCsrf = await csrfOf(page)
  const path = `/deliveries/${ids[0]}/redeliver`
  expect(await post(page, path, { csrf: viewCsrf })).toBe(403)

  const { page: admin } = await signedIn()
  const csrf = await csrfOf(admin)
  expect(await post(admin, path, {})).toBe(403)
  expect(await post(admin, path, { csrf: viewCsrf })).toBe(403)
  expect(await post(admin, path, { csrf }, { 'sec-fetch-site': 'cross-site' })).toBe(403)
  const stranger = await open()
  expect(await post(stranger.page, path, { csrf })).toBe(401)
  const [cookie] = await admin.context().cookies()
  const forged = cookie!.value.replace(/^admin\.\d+/, 'admin.9999999999999')
  const asked = await fetch(relay.url, { headers: { cookie: `relay_session=${forged}` } })
  expect(asked.status).toBe(401)
  expect(await post(admin, path, { csrf }, { 'sec-fetch-site': 'same-origin' })).toBe(303)
})

test('with and without scripts, the list shows user and time, and the URL contains the filters', async context => {
  const invocation = JSON.stringify({ inputs: {}, trigger: { by: { name: 'Jane Doe', email: null } } })
  const { relay, signedIn, open } = await openScene(context, [
    { runId: 'r_1', action: 'deploy', repository: 'acme/shop', invocation, events: REJECTED },
    { runId: 'r_2', action: 'restart', repository: 'acme/web', events: running(42) },
    ...Array.from({ length: 50 }, (_, i) => ({ repository: `acme/m${i}`, events: running(100 + i) })),
  ])
  await send(relay.url, { secret: 'wrong' })
  const { page, errors } = await signedIn()
  expect(await rows(page).count()).toBe(50)
  const boxOf = async () => (await rows(page).first().boundingBox())!
  expect((await boxOf()).height).toBeLessThan(45)
  await page.setViewportSize({ width: 360, height: 640 })
  const { y, height } = await boxOf()
  expect(y + height).toBeLessThan(640)
  await page.setViewportSize({ width: 1280, height: 720 })
  await page.getByRole('link', { name: 'Older' }).click()
  await page.waitForURL(/before=/)
  expect(await rows(page).nth(1).textContent()).toMatch(
    /not started\s+deploy\s+acme\/shop deploy\s+r_1\s+by\s+Jane Doe\s+\d+ s ago\s+GitHub rejected the dispatch/,
  )
  await page.getByLabel('Order').selectOption('oldest first')
  await page.getByRole('button', { name: 'Search' }).click()
  await page.waitForURL(`${relay.url}/?order=oldest`)
  await page.getByRole('link', { name: 'Newer' }).click()
  await page.waitForURL(/order=oldest&after=50/)
  expect(await rows(page).count()).toBe(2)
  await page.getByRole('link', { name: '1 not started' }).click()
  await page.waitForURL(`${relay.url}/?outcome=not_started&order=oldest`)
  await page.getByRole('link', { name: 'Clear' }).click()
  await page.getByRole('link', { name: '51 running' }).click()
  await page.waitForURL(/state=running/)
  for (const key of ['/', 'Escape', '/']) await page.keyboard.press(key)
  await page.keyboard.type('ME/WEB')
  await page.keyboard.press('Enter')
  await page.waitForURL(/q=ME%2FWEB.*&state=running/)
  expect(await rows(page).allInnerTexts()).toHaveLength(1)
  const filtered = page.url()
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  await page.getByRole('link', { name: 'Back to the deliveries' }).click()
  await page.waitForURL(filtered)
  await page.goto(`${relay.url}/?repository=nonsense`)
  expect(await page.getByRole('alert').textContent()).toBe('repository must be owner/name.')
  expect(errors).toEqual([])

  const plain = await open({ javaScriptEnabled: false })
  await plain.page.goto(`${relay.url}/?action=restart&run_id=r_2`)
  await signIn(plain.page, ADMIN_TOKEN)
  await plain.page.getByRole('link', { name: 'restart' }).click()
  await plain.page.getByRole('link', { name: 'Cancel…' }).click()
  await plain.page.getByRole('button', { name: 'Cancel the delivery' }).click()
  expect(await plain.page.getByText('running, being canceled').isVisible()).toBe(true)
})

const RUN = aRun(42, { status: 'completed', conclusion: 'success' })
const dispatched: DeliveryEvent[] = [{ type: 'dispatchAccepted', attemptedAt: 0, run: null }]
test('the page of a delivery shows its timeline with future events in gray, and, on request, the steps of its workflow run', async context => {
  const { relay, signedIn, ids, github } = await openScene(context, api => {
    const { id } = api.createRun({ repository: 'acme/shop', displayTitle: 'a', status: 'in_progress' })
    const steps = [
      { name: 'Compile', status: 'completed', conclusion: 'success' },
      { name: 'Test <b>', status: 'in_progress', conclusion: null },
    ] as const
    api.setJobs(id, 1, [{ name: 'build', status: 'in_progress', steps: [...steps] }])
    return [{ runId: 'r_1', events: running(id), receivedAt: Date.now() - 2 * 86_400_000 }]
  })
  const { page, errors } = await signedIn({ locale: 'en-US', timezoneId: 'Asia/Tokyo' })
  await page.goto(`${relay.url}/deliveries/${ids[0]}?live=off`)
  const past = [
    'Received from Port',
    'Target: acme/shop, event type deploy',
    'Attempt 1: GitHub accepted the dispatch',
  ]
  expect(await titles(page)).toEqual([
    ...past,
    'A workflow run is bound to the delivery',
    'End of the workflow run',
  ])
  expect(await page.locator('.timeline .todo h3').allInnerTexts()).toEqual(['End of the workflow run'])
  const received = await page.locator('.timeline time').first().textContent()
  expect(received).toMatch(/^[A-Z][a-z]{2} \d+,( \d{4},)? \d+:\d\d:\d\d [AP]M GMT\+9$/)
  const before = github.requests.length
  await page.getByRole('link', { name: 'Show the steps of the workflow run' }).click()
  expect(await page.locator('.steps li').allInnerTexts()).toEqual(['Compile success', 'Test <b> running'])
  await page.reload()
  expect(await page.locator('.steps li').count()).toBe(2)
  expect(github.requests.length - before).toBe(1)
  await page.goto(`${relay.url}/freezes`)
  await page.getByLabel('Repositories').fill('acme/other')
  await page.getByLabel('Reason').fill('Sale')
  await page.getByLabel('End in your time zone').fill('2100-01-31T12:00')
  await page.getByRole('button', { name: 'Freeze' }).click()
  await page.getByText('until Jan 31, 2100, 12:00:00 PM GMT+9').waitFor()
  expect(errors).toEqual([])
})

test('before it redelivers or cancels, the dashboard explains the effect and asks for confirmation', async context => {
  const { relay, signedIn, ids, port } = await openScene(context, [
    { runId: 'r_1', action: 'one', events: REJECTED },
    { runId: 'r_2', action: 'two', events: REJECTED },
    { runId: 'r_3', action: 'three', events: REJECTED },
    { runId: 'r_4', action: 'four', events: running(42) },
    {
      ...{ runId: 'r_5', action: 'five', repository: 'acme/web' },
      events: [{ type: 'dispatchRejected', attemptedAt: 0, reason: 'Another reason' }],
    },
  ])
  await send(relay.url, { secret: 'wrong' })
  port.createRun({ id: 'r_1', status: 'FAILURE' })
  const { page, errors } = await signedIn()
  await rows(page).last().locator('.age').click()
  await page.getByRole('link', { name: 'Redeliver…' }).click()
  expect(await page.locator('main').textContent()).toMatch(
    /1 webhook was refused since the relay started at .*The run in Port has finished.*A workflow runs twice if GitHub/s,
  )
  await page.getByRole('button', { name: 'Redeliver' }).click()
  await page.waitForURL(`${relay.url}/deliveries/${ids[0]}`)
  expect(await titles(page)).toContain('The delivery is queued again')
  expect((await page.goto(`${relay.url}/deliveries/${ids[3]}/redeliver`))!.status()).toBe(409)

  await page.goto(`${relay.url}/?outcome=not_started`)
  await page.getByRole('link', { name: 'Redeliver all that match…' }).click()
  expect(await page.locator('.group li').allTextContents()).toEqual([
    expect.stringMatching(/^two to acme\/shop, \d+ s ago$/),
    expect.stringMatching(/^three to acme\/shop, \d+ s ago$/),
    expect.stringMatching(/^five to acme\/web, \d+ s ago$/),
  ])
  await page.getByRole('link', { name: '2 acme/shop' }).click()
  await page.getByRole('button', { name: 'Redeliver 2 deliveries' }).waitFor()
  await page.goBack()
  await page.getByRole('button', { name: 'Redeliver 3 deliveries' }).waitFor()
  await page.getByLabel('Another reason').uncheck()
  await page.getByRole('button', { name: 'Redeliver 2 deliveries' }).click()
  expect(await page.getByRole('status').textContent()).toBe('2 deliveries queued again.')
  await page.waitForURL(`${relay.url}/`)
  await page.goto(`${relay.url}/?outcome=not_started`)
  expect(await rows(page).locator('.main').allInnerTexts()).toEqual(['five'])

  await page.goto(`${relay.url}/deliveries/${ids[3]}`)
  await page.getByRole('link', { name: 'Cancel…' }).click()
  await page.getByRole('button', { name: 'Cancel the delivery' }).click()
  await page.waitForURL(`${relay.url}/deliveries/${ids[3]}`)
  expect(await titles(page)).toContain('A user canceled the delivery')
  expect(errors.filter(error => !error.includes('409'))).toEqual([])
})

test('pages update automatically without losing focus, and show refused webhooks and a rate limit', async context => {
  const { relay, signedIn } = await openScene(context, [
    { runId: 'r_1', action: 'first', events: running(42) },
  ])
  const { page, errors } = await signedIn()
  await page.clock.install()
  await page.goto(relay.url)
  await page.getByRole('link', { name: 'first' }).focus()
  await page.getByLabel('Search', { exact: true }).evaluate((input: { value: string }) => {
    input.value = 'typed'
  })
  const body = { run: { id: 'r_9' }, action: { identifier: 'fresh' }, inputs: {} }
  expect((await send(relay.url, { body })).status).toBe(202)
  await follow(page, page.getByRole('link', { name: 'fresh' }))
  expect(await page.evaluate('document.activeElement.textContent')).toBe('first')
  expect(await page.getByLabel('Search', { exact: true }).inputValue()).toBe('typed')
  await follow(page, page.locator('.banner').getByText('GitHub is rate limiting this credential'))
  const later = { ...body, run: { id: 'r_10' }, action: { identifier: 'later' } }
  await send(relay.url, { body: later })
  await follow(page, page.getByText(/^Waiting for GitHub's rate limit until .*: GitHub is rate/).nth(1))
  await page.getByRole('link', { name: 'Pause updates' }).click()
  expect(await page.locator('[data-follow]').count()).toBe(0)

  await page.getByRole('link', { name: 'Refused' }).click()
  expect(await page.getByText('No webhook was refused.').isVisible()).toBe(true)
  await send(relay.url, { secret: 'wrong', path: '/webhook/acme/shop' })
  await follow(page, page.locator('.refused').getByText("The signature doesn't match"))
  expect(await page.locator('.banner').getByText('refused').count()).toBe(0)
  expect(await page.locator('.refused li').textContent()).toMatch(/401.*from 127\.0\.0\.1 for acme\/shop/s)
  expect(errors).toEqual([])

  await page.context().clearCookies()
  await follow(page, page.getByText(/^Not updated since .*: sign in again\.$/))
  await relay.stop()
  await follow(page, page.getByText(/^Not updated since .*: the relay doesn't respond\.$/))
})

/** Advances the page's time until it shows this text. */
async function follow(page: Page, shown: Locator) {
  await until(async () => {
    await page.clock.runFor(3_000)
    return shown.isVisible()
  }, 'the page shows the text')
}

const HOSTILE = `"'><img src=x onerror="document.title='stolen'"><script>document.title='stolen'</script>\u202e{{7*7}}`

test("hostile values in every field are shown as text, and only the dashboard's own script runs", async context => {
  const trigger = { by: { name: HOSTILE } }
  const invocation = JSON.stringify({ inputs: { a: HOSTILE }, trigger, targetFrom: HOSTILE })
  const { relay, signedIn, ids } = await openScene(context, [
    {
      ...{ runId: HOSTILE, dedupeKey: HOSTILE, action: HOSTILE, repository: HOSTILE },
      ...{ eventType: HOSTILE, invocation },
      events: [
        ...dispatched,
        {
          ...{ type: 'runsSeen', pollAt: 4_000_000_000_000 },
          runs: [{ ...RUN, conclusion: HOSTILE, url: `javascript:document.title='stolen'//` }],
        },
        {
          type: 'approvalSeen',
          pending: [{ environment: HOSTILE, waitTimer: 0, reviewers: [HOSTILE] }],
          decided: [{ environments: [HOSTILE], state: HOSTILE, by: HOSTILE, comment: HOSTILE }],
        },
      ],
    },
    {
      ...{ runId: 'r_1', eventType: null, workflow: HOSTILE, ref: HOSTILE, action: HOSTILE },
      events: [{ type: 'dispatchRejected', attemptedAt: 0, reason: HOSTILE }],
    },
  ])
  const { page, errors } = await signedIn()
  const addresses = [
    '/',
    `/deliveries/${ids[0]}`,
    `/deliveries/${ids[0]}/cancel`,
    `/deliveries/${ids[1]}`,
    `/deliveries/${ids[1]}/redeliver`,
    '/redeliver?state=failed',
    `/?${new URLSearchParams({ action: HOSTILE, run_id: HOSTILE, state: 'failed' })}`,
    `/?${new URLSearchParams({ since: HOSTILE })}`,
    `/redeliver?${new URLSearchParams({ action: HOSTILE, state: 'failed' })}`,
    `/deliveries/${encodeURIComponent(HOSTILE)}`,
  ]
  for (const address of addresses) {
    const response = await page.goto(relay.url + address)
    expect(response!.headers()['content-security-policy'], address).toMatch(
      /^default-src 'none'; style-src 'self'; script-src 'self';/,
    )
    expect(await page.title(), address).not.toBe('stolen')
    expect(await page.locator('img').count(), address).toBe(0)
    expect(await page.locator('script:not([src="/dashboard/live.js"])').count(), address).toBe(0)
    expect(await page.locator('a[href^="javascript:"], [onerror], [style]').count(), address).toBe(0)
  }
  expect(errors.filter(error => !/status of 40[04]/.test(error))).toEqual([])
})

test('the pages are accessible: axe-core finds nothing serious, no text is cut off at 360 px, and the keyboard reaches every control', async context => {
  const { relay, signedIn, open, ids } = await openScene(context, [
    {
      ...{ runId: 'r_1', receivedAt: 1e12 },
      action: `a-${'very-'.repeat(12)}long-name`,
      repository: `${'o'.repeat(39)}/${'r'.repeat(100)}`,
      invocation: JSON.stringify({
        trigger: { by: { email: `${'m'.repeat(64)}@${'d'.repeat(180)}.example` } },
      }),
      events: REJECTED,
    },
    {
      runId: `r_${'x'.repeat(98)}`,
      eventType: null,
      workflow: `${'w'.repeat(250)}.yml`,
      ref: 'b'.repeat(244),
      events: running(42),
    },
    { runId: 'r_3', events: REJECTED },
  ])
  await send(relay.url, { secret: 'wrong' })
  const addresses = [
    '/',
    `/deliveries/${ids[0]}`,
    `/deliveries/${ids[1]}`,
    `/deliveries/${ids[1]}/cancel`,
    '/redeliver?state=failed',
    '/refused',
    '/freezes',
    '/status',
  ]
  const outside = await open()
  await outside.page.goto(relay.url)
  expect(await seriousFindings(outside.page)).toEqual([])
  const narrow = await signedIn({ viewport: { width: 360, height: 640 } })
  for (const address of addresses) {
    await narrow.page.goto(`${relay.url}${address}`)
    expect(await seriousFindings(narrow.page), address).toEqual([])
    const width = await narrow.page.evaluate('document.documentElement.scrollWidth')
    expect(width, address).toBe(360)
    await narrow.page.emulateMedia({ colorScheme: 'dark' })
    // Checks only the colors, because dark mode changes nothing else.
    const colors = `{ runOnly: ['color-contrast', 'link-in-text-block'] }`
    expect(await seriousFindings(narrow.page, colors), `${address} in dark mode`).toEqual([])
    await narrow.page.emulateMedia({ colorScheme: 'light' })
  }
  const { page } = await signedIn()
  await page.goto(`${relay.url}/?live=off`)
  const focused = '(document.activeElement.textContent || document.activeElement.name).trim()'
  const reached: string[] = []
  for (let i = 0; i < 30; i++) {
    await page.keyboard.press('Tab')
    reached.push(String(await page.evaluate(focused)))
  }
  for (const name of ['Skip to the content', 'Sign out', '2 not started', 'Search', 'q'])
    expect(reached).toContain(name)
  await page.locator('.rows .main').last().focus()
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/deliveries\//)
})
