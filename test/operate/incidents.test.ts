/** What operators see of problems that have a cause outside of the relay: on the dashboard, in `doctor`, and in alerts. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { doctor } from '../../cli/doctor.ts'
import { until } from '../../simulator/http-server.ts'
import { ALERT_SECRET, openAlertEndpoint } from '../support/alert-endpoint.ts'
import { openRelayHere, relayEnv, startServices, temporaryFolder } from '../support/relay.ts'
import { ADMIN_TOKEN, readPage, send, signIn } from '../support/requests.ts'
import { run } from '../support/run-command.ts'

const MINUTE = 60_000

/** Starts a relay, with alerts. `isApp`: whether the relay is a GitHub App, which is installed only on acme/shop. */
async function open(isApp = false) {
  const { github, env: services } = await startServices()
  github.addRepository('acme/shop')
  const app = github.createApp({ repositories: ['acme/shop'] })
  const appEnv = { GITHUB_TOKEN: '', GITHUB_APP_ID: `${app.id}`, GITHUB_APP_PRIVATE_KEY: app.privateKey }
  const path = join(temporaryFolder(), 'relay.db')
  const endpoint = await openAlertEndpoint()
  onTestFinished(endpoint.stop)
  const env = relayEnv({
    ...{ ...services, RELAY_ADMIN_TOKEN: ADMIN_TOKEN, RELAY_DATABASE: `sqlite:${path}` },
    ...{ RELAY_ALERT_URL: endpoint.url, RELAY_ALERT_SECRET: ALERT_SECRET },
    ...(isApp && appEnv),
  })
  const relay = await openRelayHere(env)
  const cookie = await signIn(relay.url)
  const database = new DatabaseSync(path, { timeout: 5_000 })
  onTestFinished(() => database.close())
  return {
    ...{ github, app, relay, database },
    async alert() {
      await until(() => endpoint.received.length > 0, 'the alert', 30_000)
      return endpoint.received[0]!.body.started
    },
    /** The text of a page, without markup. */
    page: async (path: string) => (await readPage(relay.url + path, cookie)).replace(/<[^>]*>/g, ''),
    /** Returns the exit code, and the problems and warnings of these checks. */
    async doctor(checks = 'deliveries|webhooks') {
      const PORT = new URL(relay.url).port
      const { code, stdout } = await run(doctor, [], { ...env, PORT })
      const lines = stdout.split('\n').filter(line => RegExp(`^(problem|warning) +(${checks}) `).test(line))
      return { code, lines: lines.map(line => line.replace(/\s+/g, ' ')) }
    },
  }
}

test("if Port doesn't know a run, the banner, the delivery's page, doctor, and the alert say so", async () => {
  const { relay, database, page, doctor, alert } = await open()
  const { body } = await send(relay.url, { body: { run: { id: 'r_ofAnotherOrganization' } } })
  const retried = () => relay.log().some(({ msg }) => msg === 'messages to Port are retried')
  await until(retried, 'Port responded', 30_000)
  const reason =
    "Port doesn't know the run: it was deleted, or the webhook is from another organization than PORT_CLIENT_ID (404). If the run was deleted, the relay drops its messages by itself. Otherwise, set PORT_CLIENT_ID and PORT_CLIENT_SECRET to the credentials of the run's organization, check PORT_API_URL, and restart the relay"
  const shown = `oldest message has waited since [^(]*\\(16 min\\)\\. ${reason.replace(/[()]/g, '\\$&')}\\.`
  await until(() => database.prepare('SELECT reason FROM outboxes').get()?.reason === reason, 'it is stored')
  expect((await doctor()).lines.join()).not.toContain('oldest message')

  // The next attempt would drop messages of this age.
  database.exec(`UPDATE outboxes SET due_at = due_at + ${60 * MINUTE}`)
  database.exec(`UPDATE outbox SET created_at = created_at - ${16 * MINUTE}`)
  const expected = new RegExp(shown.replaceAll("'", "(?:'|&#39;)"))
  expect(await page('/')).toMatch(expected)
  const ofDelivery = await page(`/deliveries/${String(body.delivery)}`)
  expect(ofDelivery).toMatch(
    /waits?: Port accepted no message in \d+ attempts?.*know the run: it was deleted/,
  )
  expect(await doctor()).toEqual({ code: 1, lines: [expect.stringMatching(expected)] })
  expect(await alert()).toMatchObject([{ type: 'messages_wait', detail: expect.stringMatching(expected) }])
})

test('doctor counts the signed webhooks that the relay refused in the last hour, with the most frequent reason', async () => {
  const { relay, doctor } = await open()
  await send(relay.url, { timestamp: '1' })
  await fetch(`${relay.url}/webhook`, { method: 'POST' })
  const refused = (text: string) => ({ lines: [expect.stringMatching(`webhooks ${text}`)] })
  const one = '1 webhook was refused since the relay started at .* \\(1 × 401\\)\\. The webhook is older'
  expect(await doctor()).toMatchObject({ code: 0, ...refused(one) })
  for (let n = 0; n < 6; n++) await send(relay.url, { path: '/webhook/zeta/shop', body: { n } })
  const many = '7 webhooks were refused since .* \\(1 × 401, 6 × 403\\)\\. Most often: .*zeta/shop'
  expect(await doctor()).toMatchObject({ code: 1, ...refused(many) })
})

test('if the App was removed from a repository, the list, the alert, and doctor show the same sentence', async () => {
  const { github, app, relay, page, doctor, alert } = await open(true)
  await send(relay.url)
  await until(() => github.dispatches.length === 1, 'the first dispatch')
  app.repositories = ['acme/till']
  const toShop = ({ path }: { path: string }) => /^\/repos\/acme\/shop\/(?!installation)/.test(path)
  github.fail({ match: toShop, status: 404, body: { message: 'Not Found' }, times: Number.POSITIVE_INFINITY })
  await send(relay.url)
  const sentence =
    "The relay's GitHub App isn't installed on acme/shop (404: Not Found): install it there, or add the repository to its installation (the owner's Settings, GitHub Apps, Configure, Repository access)."
  const isListed = async () =>
    (await page('/?outcome=not_started')).replaceAll('&#39;', "'").includes(sentence)
  await until(isListed, 'the list shows the sentence', 30_000)
  expect(await alert()).toMatchObject([
    { type: 'workflow_not_started', detail: expect.stringContaining(sentence) },
  ])
  expect(await doctor('acme/shop')).toEqual({ code: 1, lines: [`problem acme/shop ${sentence}`] })
})
