import { html } from 'hono/html'
import type { Refusal } from '../refusals.ts'
import { ago, at } from './format.ts'
import { layout } from './layout.ts'
import type { Session } from './sessions.ts'

/** Why webhooks were refused: what "Port says 401" is about. */
export const refusedPage = (
  session: Session,
  { refused, since, now, live }: { refused: Refusal[]; since: number; now: number; live: boolean },
) =>
  layout({
    title: 'Refused webhooks',
    session,
    live: { on: live, toggle: live ? '/refused?live=off' : '/refused' },
    body: html`<h1>Refused webhooks</h1>
<p>What this relay has refused since ${at(since)}, when it was started; the same again is counted. Senders got these sentences as answers.</p>
<section id="list" data-live aria-label="List of refused webhooks">${
      refused.length === 0
        ? html`<p class="empty">No webhook was refused.</p>`
        : html`<ol class="plain refused">${refused.map(
            each => html`<li>
<p><span class="state failed">${each.status}</span> ${ago(each.lastAt, now)}${each.count > 1 && html`, <strong>${each.count} times</strong> since ${at(each.firstAt)}`}</p>
<p>${each.reason}</p>
<p class="quiet">from <code>${each.sender}</code>${each.repository !== null && html` for ${each.repository}`}</p>
</li>`,
          )}</ol>`
    }</section>`,
  })
