import { html } from 'hono/html'
import type { Html } from './format.ts'
import type { Session } from './sessions.ts'

export interface Page {
  title: string
  /** Null before the sign-in. */
  session: Session | null
  /** Whether the page is kept up to date by the script; the address of the other choice. */
  live?: { on: boolean; toggle: string }
  body: Html
}

/** A whole page. */
export const layout = ({ title, session, live, body }: Page) => html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Port relay</title>
<link rel="icon" href="/dashboard/icon.svg">
<link rel="stylesheet" href="/dashboard/style.css">
${live?.on && html`<script src="/dashboard/live.js" defer></script>`}
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<a class="brand" href="/"><svg viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d="M2 5h9M8 2l3 3-3 3M14 11H5M8 8l-3 3 3 3"></path></svg>Port relay</a>
${session && top(session, live)}
</header>
<main id="main" tabindex="-1">
${body}
</main>
</body>
</html>`

const top = ({ role, csrf }: Session, live: Page['live']) => html`<nav aria-label="Pages">
<a href="/">Deliveries</a>
<a href="/refused">Refused webhooks</a>
</nav>
<div class="who">
${live && html`<a class="quiet" href="${live.toggle}">${live.on ? 'Pause updates' : 'Resume updates'}</a>`}
<span class="role">${role === 'admin' ? 'Admin' : 'View only'}</span>
<form method="post" action="/sign-out"><input type="hidden" name="csrf" value="${csrf}"><button class="quiet">Sign out</button></form>
</div>`

/** A short page with a sentence, as for a refusal. */
export const message = (session: Session | null, title: string, sentence: string) =>
  layout({
    title,
    session,
    body: html`<section class="card narrow"><h1>${title}</h1><p>${sentence}</p><p><a href="/">To the deliveries</a></p></section>`,
  })

/** @param next where to go then: a path of this relay */
export const signInPage = (next: string, problem: string | null) =>
  layout({
    title: 'Sign in',
    session: null,
    body: html`<section class="card narrow">
<h1>Sign in</h1>
<p>With <code>RELAY_ADMIN_TOKEN</code>, or with <code>RELAY_VIEW_TOKEN</code> for reading only.</p>
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
