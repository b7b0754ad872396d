import { html } from 'hono/html'

export type Html = ReturnType<typeof html>

/** A fake server's page. @param of the imitated service @param isLive whether the page reloads every second */
export const layout = (of: string, title: string, isLive: boolean, parts: Html[]) => html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
${isLive && html`<meta http-equiv="refresh" content="1">`}
<title>${title} (fake)</title><style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; color: #1f2328; background: #fff }
section { margin: 1.5rem 0; overflow-x: auto } h1 { font-size: 1.3rem } h1 small { font-weight: 400; color: #59636e } h2 { font-size: 1.1rem } h3 { margin: 0; font-size: 1rem }
form { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: end; border: 1px solid #d1d9e0; border-radius: 8px; padding: .8rem; margin: .8rem 0 }
form h3, form p { flex-basis: 100%; margin: 0 } label { display: flex; flex-direction: column; font-size: .85rem }
input, select, button { font: inherit; padding: .3rem .5rem } input[type=number] { width: 5rem } label:has([type=checkbox]) { flex-direction: row; gap: .4rem }
button { background: #0550ae; color: #fff; border: 0; border-radius: 6px; padding: .4rem 1rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #d1d9e0 }
pre { background: #f6f8fa; padding: .8rem; border-radius: 8px; white-space: pre-wrap; overflow-wrap: anywhere } dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem } dd { margin: 0; overflow-wrap: anywhere }
.status, .completed { font-size: .85rem; font-weight: 600 } .SUCCESS { color: #116329 } .FAILURE { color: #a40e26 } .IN_PROGRESS { color: #0550ae }
@media (max-width: 30rem) { th, td { padding: .3rem .2rem; font-size: .8rem; overflow-wrap: anywhere } }
</style></head><body><h1>${title} <small>a fake of ${of}, on this machine</small></h1>${parts}</body></html>`
