import type { Hono } from 'hono'
import { addChanges, type ChangesDeps } from './changes.ts'
import { createGuard, type GuardDeps, SECURITY } from './guard.ts'
import { ICON, SCRIPT, STYLE } from './layout.ts'
import { addPages, type PagesDeps } from './pages.ts'

export type DashboardDeps = PagesDeps & ChangesDeps & GuardDeps

const CACHED = { ...SECURITY, 'cache-control': 'max-age=300' }

/** The pages for people, at `/`. */
export function createDashboard(deps: DashboardDeps): Hono {
  const guard = createGuard(deps)
  const asset = (name: string, type: string, text: string) =>
    guard.app.get(`/dashboard/${name}`, c => c.body(text, 200, { ...CACHED, 'content-type': type }))
  asset('style.css', 'text/css; charset=utf-8', STYLE)
  asset('live.js', 'text/javascript; charset=utf-8', SCRIPT)
  asset('icon.svg', 'image/svg+xml', ICON)
  addPages(guard, deps)
  addChanges(guard, deps)
  return guard.app
}
