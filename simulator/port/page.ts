import { type Context, Hono, type Next } from 'hono'
import { html } from 'hono/html'
import { type Html, layout } from '../fake-page.ts'
import type { FakeServerEnv } from '../http-server.ts'
import { newRun, type PortRun, type PortState, updateRun } from './state.ts'
import { type PortAction, sendWebhook } from './webhook.ts'

/** A button on the page: a Port action and its form's initial values. */
interface PortButton {
  action: PortAction
  /** For an action that runs on an entity. */
  entity?: string
  inputs: Record<string, unknown>
}

export interface PortPage {
  buttons: PortButton[]
  /** The relay's current URL. */
  relay: () => string
}

/** The fake Port's browser pages, next to Port's API: `/` shows buttons and runs, `/runs/:id` shows one run. */
export function pageRoutes(state: PortState, page: () => PortPage | null): Hono<FakeServerEnv> {
  const app = new Hono<FakeServerEnv>()
  /** Wraps a page's handler. Until the page is opened, Port's API responds instead. */
  const shown =
    (handler: (c: Context<FakeServerEnv>, page: PortPage) => Response | Promise<Response>) =>
    (c: Context<FakeServerEnv>, next: Next) => {
      const opened = page()
      return opened ? handler(c, opened) : next()
    }

  app.get(
    '/',
    shown(async (c, { buttons }) => {
      const runs = [...state.runs.values()].toReversed()
      return c.html(
        layout('Port', 'Port', runs.some(isOpen), [
          html`<section><h2>Self-service</h2>${buttons.map(form)}</section>`,
          html`<section><h2>Runs</h2>
<table><thead><tr><th>Run</th><th>Action</th><th>Status</th><th>Started</th></tr></thead>
<tbody>${runs.map(run => html`<tr><td><a href="/runs/${run.id}">${run.id}</a></td><td>${run.action}</td><td>${status(run)}</td><td>${clock(run.createdAt)}</td></tr>`)}</tbody></table></section>`,
          entities(state, () => true),
        ]),
      )
    }),
  )

  app.post(
    '/run/:index',
    shown(async (c, { buttons, relay }) => {
      const button = buttons[Number(c.req.param('index'))]
      if (!button) return c.notFound()
      const { action } = button
      const { entity, ...texts } = Object.fromEntries(new URLSearchParams(String(c.var.request.body)))
      const properties = Object.fromEntries(
        Object.entries(action.trigger.userInputs.properties).flatMap(
          ([name, { type }]): [string, unknown][] => {
            const text = texts[name] ?? ''
            if (type === 'boolean') return [[name, text === 'on']]
            return text === '' ? [] : [[name, type === 'number' ? Number(text) : text]]
          },
        ),
      )
      const run = newRun({ action: action.identifier, properties, ...(entity && { entity }) })
      state.runs.set(run.id, run)
      const options = { relay: relay(), secret: state.clientSecret }
      const refusal = await sendWebhook(action, run, options).then(
        ({ status, body }) => (status < 300 ? null : `The relay responded with ${status}: ${body.detail}`),
        error => `The relay can't be reached: ${error.message}`,
      )
      if (refusal !== null) {
        run.logs.push({ id: 'runLog_refused', message: refusal, at: Date.now() })
        updateRun(run, { status: 'FAILURE', statusLabel: 'Webhook failed' })
      }
      return c.redirect(`/runs/${run.id}`, 303)
    }),
  )

  app.get(
    '/runs/:id',
    shown(async c => {
      const run = state.runs.get(c.req.param('id') ?? '')
      if (!run) return c.notFound()
      const links = [run.link ?? []].flat()
      const inputs = Object.entries({ ...(run.entity && { entity: run.entity }), ...run.properties })
      return c.html(
        layout('Port', `Run ${run.id}`, isOpen(run), [
          html`<p><a href="/">All actions and runs</a></p>
<section><h2>${run.action} ${status(run)}</h2><dl>
<dt>Run</dt><dd>${run.id}</dd>
${inputs.map(([name, value]) => html`<dt>${name}</dt><dd>${String(value)}</dd>`)}
${links.map(link => html`<dt>Link</dt><dd><a href="${link}">${link}</a></dd>`)}
</dl></section>`,
          html`<section><h2>Log</h2><pre>${run.logs.map(({ message }) => `${message}\n`).join('')}</pre></section>`,
          entities(state, ({ runId }) => runId === run.id),
          ...(run.summary ? [html`<section><h2>Summary</h2><pre>${run.summary}</pre></section>`] : []),
        ]),
      )
    }),
  )
  return app
}

function form({ action, entity, inputs }: PortButton, index: number): Html {
  const { properties, required = [] } = action.trigger.userInputs
  return html`<form method="post" action="/run/${index}"><h3>${action.title}</h3><p>${action.description ?? ''}</p>
${entity && html`<label>${action.trigger.blueprintIdentifier}<input name="entity" value="${entity}" required></label>`}
${Object.entries(properties).map(([name, { type, title, enum: options }]) => {
  const value = inputs[name]
  const needed = required.includes(name) ? 'required' : ''
  const field =
    type === 'boolean'
      ? html`<input type="checkbox" name="${name}" ${value === true ? 'checked' : ''}>`
      : options
        ? html`<select name="${name}">${options.map(each => html`<option ${each === value ? 'selected' : ''}>${each}</option>`)}</select>`
        : html`<input type="${type === 'number' ? 'number' : 'text'}" name="${name}" value="${String(value ?? '')}" ${needed}>`
  return html`<label>${title ?? name}${field}</label>`
})}
<button>${action.title}</button></form>`
}

function entities(state: PortState, isShown: (entity: PortState['entities'][number]) => boolean): Html {
  const rows = state.entities.filter(isShown).toReversed()
  if (rows.length === 0) return html``
  const pairs = (values: Record<string, unknown>) =>
    Object.entries(values).map(([name, value]) => html`<div><b>${name}</b> ${String(value)}</div>`)
  return html`<section><h2>Entities</h2>
<table><thead><tr><th>Entity</th><th>Properties</th><th>Relations</th></tr></thead><tbody>${rows.map(
    each =>
      html`<tr><td>${each.blueprint}<br><b>${each.title ?? each.identifier}</b><br>${each.identifier}</td><td>${pairs(each.properties)}</td><td>${pairs(each.relations)}</td></tr>`,
  )}</tbody></table></section>`
}

const isOpen = (run: PortRun) => run.status === 'IN_PROGRESS'
const clock = (time: string) => `${time.slice(11, 19)} UTC`
const status = ({ status, statusLabel }: PortRun) =>
  html`<span class="status ${status}">${[status, statusLabel].filter(Boolean).join(' · ')}</span>`
