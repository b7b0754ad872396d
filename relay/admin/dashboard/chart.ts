import { html } from 'hono/html'
import type { Hour } from '../../store/store.ts'

const HOURS = 24
const HOUR_MS = 3_600_000
const [WIDTH, HEIGHT] = [480, 72]
const STEP = WIDTH / HOURS

/** The last 24 hours: what was accepted, and how much ended as failed. */
export function chart(given: readonly Hour[], now: number) {
  const last = Math.floor(now / HOUR_MS)
  const hours = Array.from({ length: HOURS }, (_, i) => {
    const hour = (last - HOURS + 1 + i) * HOUR_MS
    const {
      accepted = 0,
      finished = 0,
      failed = 0,
      cancelled = 0,
    } = given.find(each => each.hour === hour) ?? {}
    return { hour, accepted, finished, failed, cancelled }
  })
  const sum = (of: 'accepted' | 'finished' | 'failed' | 'cancelled') =>
    hours.reduce((all, each) => all + each[of], 0)
  const most = Math.max(1, ...hours.map(({ accepted, failed }) => Math.max(accepted, failed)))
  const high = (amount: number) => (amount === 0 ? 0 : Math.max(2, (amount / most) * (HEIGHT - 4)))
  const bar = (kind: string, i: number, amount: number, inset: number) => {
    const height = high(amount)
    return html`<rect class="${kind}" x="${(i * STEP + inset).toFixed(1)}" y="${(HEIGHT - height).toFixed(1)}" width="${(STEP - 2 * inset).toFixed(1)}" height="${height.toFixed(1)}" rx="1.5"></rect>`
  }
  const summary = `Last 24 hours: ${sum('accepted')} accepted, ${sum('finished')} finished, ${sum('failed')} failed, ${sum('cancelled')} cancelled.`
  return html`<figure class="chart">
<figcaption>${summary}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false">
<line class="base" x1="0" y1="${HEIGHT - 0.5}" x2="${WIDTH}" y2="${HEIGHT - 0.5}"></line>
${hours.map(({ accepted, failed }, i) => html`${bar('accepted', i, accepted, 2.5)}${failed > 0 ? bar('failed', i, failed, 2.5) : ''}`)}
</svg>
<p class="legend"><span class="key accepted"></span> accepted <span class="key failed"></span> failed <span class="axis">from 24 h ago to now</span></p>
<details><summary>Each hour</summary>
<table><caption class="away">Deliveries of the last 24 hours, by hour</caption>
<thead><tr><th scope="col">Hour (UTC)</th><th scope="col">Accepted</th><th scope="col">Finished</th><th scope="col">Failed</th><th scope="col">Cancelled</th></tr></thead>
<tbody>${hours
    .toReversed()
    .map(
      each =>
        html`<tr><th scope="row">${new Date(each.hour).toISOString().slice(0, 13).replace('T', ' ')}:00</th><td>${each.accepted}</td><td>${each.finished}</td><td>${each.failed}</td><td>${each.cancelled}</td></tr>`,
    )}</tbody></table></details>
</figure>`
}
