import { randomBytes } from 'node:crypto'
import { Hono } from 'hono'
import { html } from 'hono/html'
import type { RouteSchemas } from '../route-schemas.ts'
import { type GitHubEnv, refuse } from './access.ts'
import { shower } from './shown.ts'
import { addApp, type GitHubState } from './state.ts'
import type { Permissions } from './types.ts'

const HOUR_MS = 3_600_000
const DOCS = 'https://docs.github.com/rest/apps/apps#create-a-github-app-from-a-manifest'

interface Manifest {
  name?: string
  url?: string
  redirect_url?: string
  hook_attributes?: { url?: string }
  default_permissions?: Permissions
}

/**
 * The routes that create an App from a manifest: GitHub's page, and the code exchange. A code works once, within an hour.
 *
 * @see https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
 */
export function manifestFlow(
  state: GitHubState,
  schemas: RouteSchemas,
): { pages: Hono<GitHubEnv>; api: Hono<GitHubEnv> } {
  const codes = new Map<string, { manifest: Manifest; createdAt: number }>()
  const pages = new Hono<GitHubEnv>()
  for (const path of ['/settings/apps/new', '/organizations/:organization/settings/apps/new'] as const) {
    pages.post(path, async c => {
      const text = new URLSearchParams(await c.req.text()).get('manifest') ?? ''
      const manifest = JSON.parse(text) as Manifest
      if (!manifest.url || !manifest.redirect_url || !manifest.hook_attributes?.url)
        return c.html(html`<p>Error: the manifest needs url, redirect_url and hook_attributes.url.</p>`, 422)
      const code = randomBytes(20).toString('hex')
      const back = new URL(manifest.redirect_url)
      back.searchParams.set('code', code)
      back.searchParams.set('state', c.req.query('state') ?? '')
      return c.html(html`<!doctype html><title>Create GitHub App</title>
<form method="post" action="/settings/apps/created"><input name="name" value="${manifest.name ?? ''}">
<input type="hidden" name="code" value="${code}"><input type="hidden" name="manifest" value="${text}">
<input type="hidden" name="back" value="${back.href}">
<button>Create GitHub App for ${c.req.param('organization') ?? 'yourself'}</button></form>`)
    })
  }
  pages.post('/settings/apps/created', async c => {
    const form = new URLSearchParams(await c.req.text())
    codes.set(form.get('code')!, { manifest: JSON.parse(form.get('manifest')!), createdAt: state.now() })
    return c.redirect(form.get('back')!)
  })

  const api = new Hono<GitHubEnv>()
  api.post('/app-manifests/:code/conversions', c => {
    const found = codes.get(c.req.param('code'))
    codes.delete(c.req.param('code'))
    if (!found || state.now() - found.createdAt > HOUR_MS) return refuse(404, 'Not Found', DOCS)
    // The new App isn't installed anywhere yet.
    const app = addApp(state, { permissions: found.manifest.default_permissions, repositories: [] })
    const secrets = {
      client_secret: randomBytes(20).toString('hex'),
      webhook_secret: randomBytes(20).toString('hex'),
    }
    return c.json({ ...(shower(state, schemas).app(app) as object), ...secrets, pem: app.privateKey }, 201)
  })
  return { pages, api }
}
