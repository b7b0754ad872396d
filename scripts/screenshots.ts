/** `node scripts/screenshots.ts [FOLDER]`: runs the demo, and takes the dashboard's screenshots for docs/images. */

import { join } from 'node:path'
import { acts } from '../demo/acts.ts'
import { startSystem } from '../demo/open-system.ts'
import { readAction, runAct } from '../demo/run-act.ts'
import { until } from '../simulator/http-server.ts'
import { sendWebhook } from '../simulator/port/webhook.ts'
import { openBrowser } from '../test/support/browser.ts'

const folder = process.argv[2] ?? join(import.meta.dirname, '../docs/images')
const browser = await openBrowser()
if (typeof browser === 'string') throw new Error(browser)
const system = await startSystem({ oidc: false, settings: {}, onLog() {} })
try {
  const { port, github, adminToken } = system
  const timeline = { start() {}, add() {}, print() {} }
  for (const act of acts) await runAct(act, system, timeline, new AbortController().signal)

  // A run that waits for an approval.
  const [released] = acts.filter(({ query }) => query?.ref)
  const action = await readAction(released!)
  const run = port.createRun({ action: action.identifier, properties: released!.inputs })
  github.onWorkflowDispatch(({ runId }) =>
    github.awaitReview(runId, [{ environment: 'production', reviewers: ['team:platform'] }]),
  )
  const relay = system.relay.url
  const { body } = await sendWebhook(action, run, { relay, secret: port.clientSecret })
  // The relay refuses these webhooks, and the dashboard shows the problem.
  for (let i = 0; i < 3; i++) await sendWebhook(action, run, { relay, secret: 'wrong' })
  await until(() => run.statusLabel?.includes('approval'), 'Port shows that the run waits for an approval')

  const page = await browser.newPage({ viewport: { width: 1280, height: 860 }, colorScheme: 'light' })
  await page.goto(relay)
  await page.getByLabel('Token').fill(adminToken)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.screenshot({ path: join(folder, 'dashboard.png') })
  await page.goto(`${relay}/deliveries/${body.delivery}`)
  await page.screenshot({ path: join(folder, 'dashboard-delivery.png') })
} finally {
  await browser.close()
  await system.close()
}
