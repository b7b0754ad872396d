/**
 * Shows local times, buttons that copy ids, and a link back to the filtered list. With automatic updates, replaces
 * changed regions of the page, except regions in which the user reads or selects text.
 */
export const SCRIPT = `const shown = time => time.toLocaleString(undefined, {
  ...(time.toDateString() !== new Date().toDateString() && { month: 'short', day: 'numeric' }),
  ...(time.getFullYear() !== new Date().getFullYear() && { year: 'numeric' }),
  ...{ hour: 'numeric', minute: '2-digit', second: '2-digit', timeZoneName: 'short' },
})
const regions = document.querySelectorAll('[data-live]')
const served = new Map([...regions].map(region => [region, region.innerHTML]))
function prepare(root) {
  for (const time of root.querySelectorAll('time:not([data-ago])')) time.textContent = shown(new Date(time.dateTime))
  if (!navigator.clipboard) return
  for (const id of root.querySelectorAll('[data-copy]')) {
    const button = document.createElement('button')
    Object.assign(button, { type: 'button', className: 'quiet', textContent: 'Copy', ariaLabel: 'Copy ' + id.textContent })
    button.onclick = () => navigator.clipboard.writeText(id.textContent).then(() => Object.assign(button, { textContent: 'Copied', ariaLabel: 'Copied' }))
    id.after(' ', button)
  }
}
prepare(document)
history.replaceState(null, '', location.href.replace(/[?&]redelivered=\\d+/, ''))
if (location.pathname === '/') sessionStorage.list = location.search
const back = document.getElementById('back')
if (back) back.href = '/' + (sessionStorage.list ?? '')

document.getElementById('zone')?.replaceChildren('your time zone')
document.addEventListener('formdata', ({ formData: form }) => {
  for (const [name, value] of [...form]) if (value === '') form.delete(name)
  if (form.get('until')) form.set('until', new Date(form.get('until')).toISOString().slice(0, 16))
})

const bulk = document.getElementById('bulk')
const countSelected = () => {
  const count = [...bulk.querySelectorAll(':checked')].reduce((sum, { dataset }) => sum + Number(dataset.amount), 0)
  const textContent = 'Redeliver ' + count.toLocaleString('en-US') + (count === 1 ? ' delivery' : ' deliveries')
  Object.assign(bulk.querySelector('button'), { textContent, disabled: count === 0 })
}
if (bulk) (bulk.onchange = countSelected)()

const stale = document.getElementById('stale')
let updated = new Date()
async function follow() {
  const response = await fetch(location.href, { signal: AbortSignal.timeout(10000) }).catch(() => null)
  if (!response?.ok) {
    const again = Object.assign(document.createElement('a'), { href: location.href, textContent: 'sign in again' })
    const why = response === null ? "the relay doesn't respond" : response.status === 401 ? again : 'the relay responds with ' + response.status
    stale.hidden = false
    return stale.replaceChildren('Not updated since ' + shown(updated) + ': ', why, '.')
  }
  const fresh = new DOMParser().parseFromString(await response.text(), 'text/html')
  updated = new Date()
  stale.hidden = true
  for (const region of regions) {
    const next = fresh.getElementById(region.id)
    const chosen = getSelection()
    if (!next || next.innerHTML === served.get(region) || region.querySelector('details[open]')) continue
    if (!chosen.isCollapsed && region.contains(chosen.anchorNode)) continue
    const id = region.contains(document.activeElement) && document.activeElement.id
    served.set(region, next.innerHTML)
    region.replaceChildren(...next.childNodes)
    prepare(region)
    if (id) document.getElementById(id)?.focus()
  }
}
document.addEventListener('keydown', event => {
  const { target, key } = event
  if (key === 'Escape' && target.id === 'q') return target.blur()
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches('input, select, textarea')) return
  const links = [...document.querySelectorAll('.rows .main')]
  const next = links[links.indexOf(document.activeElement) + (key === 'k' ? -1 : 1)]
  if (key === 'j' || key === 'k') next?.focus()
  else if (key === '/' && document.getElementById('q')) document.getElementById('q').focus()
  else if (key === '?') document.getElementById('keys').showModal()
  else return
  event.preventDefault()
})
document.addEventListener('click', ({ target }) => {
  if (!target.closest('a') && getSelection().isCollapsed) target.closest('.rows li')?.querySelector('.main').click()
})
const followOn = () => setTimeout(() => (document.hidden ? Promise.resolve() : follow().catch(() => {})).then(followOn), 3000)
if ('follow' in document.documentElement.dataset) followOn()
`
