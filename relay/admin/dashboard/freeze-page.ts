import { html } from 'hono/html'
import type { RouteDeps } from '../../route-deps.ts'
import { endFreeze, readFreeze } from '../freezes.ts'
import { ifForgotten, STARTED } from '../problems.ts'
import { csrf } from './changes.ts'
import { amount, at, span } from './format.ts'
import type { Guard } from './guard.ts'

/** The page with the active freezes. Only administrators see the forms. */
export function addFreezes({ get, post }: Guard, { store, freezes }: Pick<RouteDeps, 'store' | 'freezes'>) {
  get('/freezes', 'view', async (_, session) => {
    const active = (await store.freezes()).filter(({ ending }) => ending === '')
    return {
      title: 'Freezes',
      session,
      body: html`<h1 id="list">Deploy freezes</h1>
<p>Deliveries to matching repositories stay queued, and Port shows the reason. Running workflows aren't affected.</p>
${active.length === 0 && html`<p class="empty">No deploy freeze is active.</p>`}
${active.map(
  ({ id, repositories, reason, since, endsAt, deliveries, startedBy }) => html`<section class="card">
<h2>${repositories}: ${reason}</h2>
<p>${amount(deliveries)} frozen. ${startedBy && `${STARTED[startedBy]}. `}Since ${at(since)} (${span(store.clock() - since)}), ${endsAt === null ? 'without an end' : html`until ${at(endsAt)}`}. ${ifForgotten({ since, endsAt }, store.clock())}</p>
${session.role === 'admin' && html`<details><summary class="button">End…</summary><form method="post" action="/freezes/${id}" class="buttons">${csrf(session)}<button>End, and dispatch ${amount(deliveries)} in order</button> <button class="danger" name="discard" value="true">End, and cancel ${amount(deliveries)}</button></form></details>`}
</section>`,
)}
${
  session.role === 'admin' &&
  html`<section class="card form"><h2>New freeze</h2>
<form method="post" action="/freezes" class="stack">${csrf(session)}
<label for="repositories">Repositories</label><input id="repositories" name="repositories" required placeholder="acme/*" autocapitalize="off" spellcheck="false">
<label for="reason">Reason, which Port shows</label><input id="reason" name="reason" required maxlength="100">
<label for="until">End in <span id="zone">UTC</span> (optional)</label><input id="until" name="until" type="datetime-local">
<button class="primary">Freeze</button>
</form></section>`
}`,
    }
  })
  post('/freezes', async (_, { repositories, reason, until }) => {
    // Browsers send the time without a zone; the form asks for UTC.
    const given = { repositories, reason, until: until ? `${until}Z` : null }
    await freezes.start(readFreeze(given, store.clock(), 'dashboard'))
    return '/freezes'
  })
  post('/freezes/:id', async (c, { discard }) => {
    await endFreeze(freezes, c.req.param('id') ?? '', discard === 'true')
    return '/freezes'
  })
}
