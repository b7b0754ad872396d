import { html } from 'hono/html'
import type { Session } from '../sessions.ts'
import type { Html } from './format.ts'

export interface Page {
  title: string
  session: Session | null
  /** `on`: whether the page updates automatically. `toggle`: the URL that turns automatic updates on or off. */
  live?: { on: boolean; toggle: string }
  /** Current problems. */
  banner?: Html
  body: Html
}

/** Which relay the pages belong to. Only signed-in users see the version and the database. */
export interface About {
  /** The host of RELAY_PUBLIC_URL; null if RELAY_PUBLIC_URL isn't set. */
  host: string | null
  version: string
  database: string
}

export const layout = (
  { title, session, live, banner, body }: Page,
  { host, version, database }: Partial<About>,
) => html`<!doctype html>
<html lang="en" ${live?.on && html`data-follow`}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · ${host} · Port relay</title>
<link rel="icon" href="/dashboard/icon.svg">
<link rel="stylesheet" href="/dashboard/style.css">
${session && html`<script src="/dashboard/live.js" defer></script>`}
</head>
<body>
<a class="skip" href="#list">Skip to the content</a>
<header>
<a class="brand" href="/"><svg viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d="M2 5h9M8 2l3 3-3 3M14 11H5M8 8l-3 3 3 3"></path></svg>Port relay <span class="host">${host}${session && html`<span class="more"> · ${version} · ${database}</span>`}</span></a>
${session && top(session, { title, live })}
</header>
<p id="stale" role="status" hidden></p>
<main>
${banner && html`<div id="banner" data-live>${banner}</div>`}
${body}
</main>
${
  session &&
  html`<footer>Press <kbd>?</kbd> for the keys.</footer>
<dialog id="keys" aria-label="Keys" closedby="any">${KEYS.map(([key, what]) => html`<p><kbd>${key}</kbd> ${what}</p>`)}</dialog>`
}
</body>
</html>`

const PAGES = { '/': 'Deliveries', '/refused': 'Refused', '/freezes': 'Freezes', '/status': 'Status' }

const top = ({ role, csrf }: Session, { title, live }: Partial<Page>) => html`<nav aria-label="Pages">
${Object.entries(PAGES).map(([path, name]) => html`<a href="${path}" ${name === title ? html`aria-current="page"` : ''}>${name}</a> `)}
</nav>
<div class="who">
${live && html`<a class="quiet live" href="${live.toggle}">${live.on ? 'Pause updates' : 'Resume updates'}</a>`}
<span class="role">${role === 'admin' ? 'Admin' : 'View only'}</span>
<form method="post" action="/sign-out"><input type="hidden" name="csrf" value="${csrf}"><button class="quiet">Sign out</button></form>
</div>`

const KEYS = Object.entries({
  ...{ '/': 'search', j: 'next delivery', k: 'previous delivery' },
  ...{ Enter: 'open the delivery', Esc: 'leave the search', '?': 'show the keys' },
})

export const message = (session: Session | null, title: string, sentence: string | Html): Page => ({
  title,
  session,
  body: html`<section id="list" class="card narrow"><h1>${title}</h1><p>${sentence}</p><p><a href="/">Go to the deliveries</a></p></section>`,
})

/** @param next path on this relay to open after sign-in */
export const signInPage = (next: string, problem: string | null): Page => ({
  title: 'Sign in',
  session: null,
  body: html`<section id="list" class="card narrow">
<h1>Sign in</h1>
<p>Use <code>RELAY_ADMIN_TOKEN</code>, or <code>RELAY_VIEW_TOKEN</code> for read-only access.</p>
${problem && html`<p class="problem" role="alert" id="problem">${problem}</p>`}
<form method="post" action="/sign-in" class="stack">
<input type="hidden" name="next" value="${next}">
<input class="away" type="text" name="username" value="relay" autocomplete="username" tabindex="-1" aria-hidden="true" readonly>
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus ${problem ? html`aria-describedby="problem"` : ''}>
<button class="primary">Sign in</button>
</form>
</section>`,
})

export const STYLE = `:root {
  color-scheme: light dark;
  --back: #f5f6f8; --card: #fff; --text: #1b2230; --quiet: #566072; --line: #dde1e8; --link: #1f4fbf;
  --grey: #566072; --grey-back: #eceff3; --blue: #1f4fbf; --blue-back: #e5edfd; --green: #176638; --green-back: #e0f3e6;
  --hover: #f2f5fb; --red: #ab2130; --red-back: #fce8ea; --amber: #7a4d00; --amber-back: #fdf0d5; --bar: #9db6e8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #0f131a; --card: #171d27; --text: #e5e9f0; --quiet: #9ca8ba; --line: #2a3341; --link: #8fb4ff;
    --grey: #b4bfce; --grey-back: #252d39; --blue: #a3c2ff; --blue-back: #1b2c4f; --green: #8fdcaa; --green-back: #163524;
    --hover: #1d2532; --red: #ffa3ab; --red-back: #48191f; --amber: #f3c878; --amber-back: #3d2d0d; --bar: #3f5f9e;
  }
}
*, ::before { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, "Open Sans", sans-serif; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
a { color: var(--link); text-underline-offset: 2px; }
nav a:not(:hover), .rows .main:not(:hover), .links a:not(:hover) { text-decoration: none; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
code { font: 0.92em ui-monospace, "SF Mono", Menlo, monospace; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.3rem 0 1rem; }
h2 { font-size: 1.1rem; margin: 1.8rem 0 0.7rem; } h3 { font-size: 1rem; font-weight: 600; margin: 0; }
p { margin: 0.4rem 0; } ol, ul, dd { list-style: none; margin: 0; padding: 0; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 0.5rem; top: 0.5rem; background: var(--card); padding: 0.5rem; z-index: 1; }
.away { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
header { background: var(--card); border-bottom: 1px solid var(--line); padding: 0.6rem max(1rem, calc((100% - 74rem) / 2)); display: flex; flex-wrap: wrap; align-items: center; gap: 0.4rem 1.4rem; }
.brand { font-weight: 700; color: inherit; text-decoration: none; }
.brand svg { width: 1.1rem; height: 1.1rem; margin-right: 0.4rem; vertical-align: -0.15rem; fill: none; stroke: var(--link); stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; }
.who { margin-left: auto; display: flex; flex-wrap: wrap; align-items: center; gap: 0.2rem 0.9rem; }
[data-follow] .live::before { content: ""; display: inline-block; width: 0.5rem; height: 0.5rem; border-radius: 50%; margin-right: 0.4rem; background: var(--green); }
.role, .quiet { color: var(--quiet); font-size: 0.9rem; }
button.quiet { background: none; border: 0; padding: 0.2rem 0; font: inherit; font-size: 0.9rem; text-decoration: underline; cursor: pointer; color: var(--quiet); }
main { max-width: 76rem; margin: 0 auto; padding: 1rem; }
.card > :first-child { margin-top: 0; } .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.2rem; }
.narrow, .form { max-width: 30rem; } .narrow { margin: clamp(1rem, 4vw, 3rem) auto 0; }
.overview h1, #actions { margin: 0.3rem 0; }
.card + .card, .empty + .card, .overview + .card { margin-top: 1rem; }
.stack { display: grid; gap: 0.5rem; margin-top: 1rem; }
::placeholder { color: var(--quiet); opacity: 1; }
input, select { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--quiet); border-radius: 6px; padding: 0.35rem 0.5rem; width: 100%; min-width: 0; }
.button, button { display: inline-block; font: inherit; font-weight: 600; border: 1px solid var(--quiet); border-radius: 6px; padding: 0.35rem 0.9rem; background: var(--card); color: inherit; text-decoration: none; cursor: pointer; }
body .tab:hover, .button:hover, button:hover { border-color: var(--link); }
button.quiet:hover { color: var(--text); } .primary { background: var(--link); border-color: var(--link); color: var(--card); }
.danger { border-color: var(--red); color: var(--red); } button.danger { background: var(--red); color: var(--card); }
[data-copy] { user-select: all; } [data-copy] + button { padding: 0; }
#stale:not([hidden]) { position: sticky; top: 0; z-index: 1; border-left: 4px solid currentColor; padding: 0.4rem max(1rem, calc((100% - 74rem) / 2)); margin: 0; }
.buttons { display: flex; flex-wrap: wrap; gap: 0.6rem; align-items: center; }
p + .buttons, input + .buttons, summary + form, .buttons + p, .buttons + .group { margin-top: 0.9rem; }
.problem, .tab.failed strong, .tab.not_started strong, .timeline .bad h3 { color: var(--red); font-weight: 600; }
.risk, .notice { border-radius: 6px; padding: 0.35rem 1rem; margin: 0.6rem 0; }
.banner { margin: 0 0 0.8rem; display: grid; gap: 0.4rem; }
nav [aria-current] { font-weight: 600; }
.banner a { color: inherit; } .banner a + a { margin-left: 0.6rem; } .banner a:last-child { white-space: nowrap; }
.banner li { border-left: 4px solid currentColor; border-radius: 6px; padding: 0.35rem 1rem; }
.overview { display: flex; flex-wrap: wrap; gap: 0.6rem 1rem; align-items: center; justify-content: space-between; }
#tabs { display: flex; flex: 1 1 30rem; flex-wrap: wrap; gap: 0.3rem; }
.tab { padding: 0.2rem 0.6rem; border: 1px solid var(--line); border-radius: 1rem; background: var(--card); color: var(--text); text-decoration: none; font-size: 0.9rem; }
.tab[aria-current] { border-color: var(--link); box-shadow: inset 0 0 0 1px var(--link); font-weight: 600; }
#chart:has([open]) { flex-basis: 100%; min-width: 0; }
.chart summary { display: block; font-size: 0.85rem; text-decoration: underline; }
.chart { overflow-x: auto; } .chart svg { display: block; width: 13rem; height: 28px; }
.chart .accepted { fill: var(--bar); } .chart .failed { fill: var(--red); } .chart .base { stroke: var(--line); }
details { font-size: 0.9rem; } summary { cursor: pointer; color: var(--quiet); }
table { border-collapse: collapse; margin-top: 0.4rem; }
th, td { text-align: right; padding: 0.1rem 0.9rem 0.1rem 0; font-weight: 400; white-space: nowrap; }
th:first-child { text-align: left; }
.filters { margin: 0.8rem 0; display: flex; flex-wrap: wrap; gap: 0.4rem 0.6rem; align-items: center; }
.filters input { flex: 1 1 14rem; }
.filters select { width: auto; } .filters p { flex-basis: 100%; margin: 0; }
footer { max-width: 76rem; margin: 0 auto; padding: 0 1rem 1rem; color: var(--quiet); font-size: 0.85rem; }
dialog { background: var(--card); color: inherit; border: 1px solid var(--line); border-radius: 10px; }
kbd { border: 1px solid var(--line); border-radius: 4px; padding: 0 0.3rem; background: var(--card); }
[type=checkbox] { flex: none; width: 1rem; height: 1rem; margin: 0; align-self: start; position: relative; top: 0.2rem; }
button:disabled { opacity: 0.5; } .group { border-top: 1px solid var(--line); padding: 0.6rem 0 0.4rem; }
.group label { display: flex; gap: 0.6rem; align-items: baseline; } .group details { padding-left: 1.5rem; }
.rows { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.rows li:hover, .rows li:focus-within { background: var(--hover); }
.headings, .rows li { display: grid; grid-template-columns: 9rem minmax(0, 3fr) minmax(0, 5fr) 14.5rem minmax(0, 2fr) 3.2rem 5rem; gap: 0.1rem 0.9rem; padding: 0.5rem 1rem; align-items: baseline; }
.headings { font-size: 0.8rem; color: var(--quiet); padding-bottom: 0.3rem; }
.rows li + li { border-top: 1px solid var(--line); }
.rows .main { font-weight: 600; } .rows .links { font-size: 0.85rem; display: flex; flex-wrap: wrap; gap: 0 0.9rem; }
.rows .reason { grid-column: 2 / -1; margin: 0; }
.rows .reason, .rows .target, .rows .by { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; }
.rows .by:empty::before { content: "–"; }
.reason { color: var(--red); font-size: 0.92rem; }
.state { display: inline-block; border-radius: 99px; padding: 0.05rem 0.65rem; font-size: 0.85rem; font-weight: 600; background: var(--grey-back); color: var(--grey); justify-self: start; }
#stale, .outage, .state.failed, .state.not_started { background: var(--red-back); color: var(--red); }
.risk, .warning, .state.waiting, .state.unknown { background: var(--amber-back); color: var(--amber); }
.note, .state.dispatched, .state.running { background: var(--blue-back); color: var(--blue); }
.notice, .state.succeeded { background: var(--green-back); color: var(--green); }
.empty { background: var(--card); border: 1px dashed var(--line); border-radius: 10px; padding: 2rem 1rem; text-align: center; color: var(--quiet); }
.pages { display: flex; gap: 1.2rem; justify-content: flex-end; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); gap: 0.8rem 1.6rem; margin: 0.8rem 0 0; }
dt { font-size: 0.85rem; color: var(--quiet); }
#facts dl { grid-template-columns: repeat(auto-fill, minmax(min(40%, 15rem), 1fr)); }
#facts div:nth-last-child(-n + 2) { grid-column: span 2; }
.timeline li { display: grid; grid-template-columns: 11rem minmax(0, 1fr); gap: 0 1.6rem; position: relative; padding-bottom: 1.1rem; }
.timeline li > div + div { border-left: 2px solid var(--line); padding: 0 0 0.9rem 1.4rem; margin-bottom: -1.1rem; position: relative; }
.timeline li > div + div::before { content: ""; position: absolute; left: -7px; top: 0.4rem; width: 12px; height: 12px; border-radius: 50%; background: var(--grey); box-shadow: 0 0 0 3px var(--back); }
.timeline .good > div + div::before { background: var(--green); } .timeline .bad > div + div::before { background: var(--red); }
.timeline .wait > div + div::before { background: var(--amber); } .timeline .todo > div + div::before { background: var(--back); border: 2px solid var(--quiet); }
.timeline .todo > div + div { border-left-style: dashed; }
.timeline li:last-child > div + div, .timeline li:first-child .when { border-left-color: transparent; }
.timeline p { margin: 0.1rem 0; color: var(--quiet); } .when { color: var(--quiet); font-size: 0.9rem; text-align: right; }
.host, .rows .links, h1 .target, .timeline .todo h3 { color: var(--quiet); font-weight: 400; }
thead th, .rows .what, .by, .took, .age, .lead, .cancelled .reason, .queued .reason, .dispatched .reason, .running .reason { color: var(--quiet); }
.reason.late { color: var(--amber); } .ruled { margin: 0.8rem 0; } .ruled li { padding: 0.35rem 0; border-top: 1px solid var(--line); }
@media (max-width: 64rem) {
  .headings { display: none; }
  .rows li { grid-template-columns: 9rem minmax(0, 1fr) minmax(0, 1fr) 6rem; }
  .rows .age { grid-area: 1 / 4; }
  .rows .links { grid-column: 2; }
  .rows .away { all: unset; } .rows span:empty { display: none; }
  #tabs { flex-wrap: nowrap; overflow-x: auto; white-space: nowrap; }
  .tab.failed, .tab.not_started { order: -1; } .tab[aria-current] { order: -2; }
}
@media (max-width: 40rem) {
  .rows li { display: flex; flex-wrap: wrap; gap: 0.1rem 0.8rem; }
  .rows li::after { content: ""; flex-basis: 100%; order: -1; }
  .rows .state { order: -2; } .rows .age { order: -1; margin-left: auto; }
  .rows .reason { flex-basis: 100%; -webkit-line-clamp: 5; }
  .timeline li { grid-template-columns: minmax(0, 1fr); }
  .when { text-align: left; padding-left: 1.4rem; border-left: 2px solid var(--line); }
  .card { padding: 0.8rem; } .brand { flex: 1; min-width: 0; }
  .more, .role, .chart svg, [data-follow] .live::before, footer { display: none; }
  header nav { order: 1; flex-basis: 100%; }
  #banner { font-size: 0.9rem; } #chart { flex-basis: 100%; }
  .filters input { flex: 1 1 60%; } .filters select { flex: 1 0 35%; }
  .filters select, .filters .button, .filters p { order: 1; font-size: 0.9rem; }
}
@media (scripting: none) { footer, .live { display: none; } }
@media (forced-colors: active) { .state { border: 1px solid; } }
`

export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M2 5h9M8 2l3 3-3 3M14 11H5M8 8l-3 3 3 3" fill="none" stroke="#4b7be5" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/></svg>`
