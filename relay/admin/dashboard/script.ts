/** Replaces the regions of the page that have changed, unless a person is reading or selecting in them. */
export const SCRIPT = `setInterval(async () => {
  if (document.hidden) return
  try {
    const answer = await fetch(location.href)
    if (!answer.ok) return
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html')
    for (const region of document.querySelectorAll('[data-live]')) {
      const next = fresh.getElementById(region.id)
      const chosen = getSelection()
      if (!next || next.innerHTML === region.innerHTML || region.querySelector('details[open]')) continue
      if (!chosen.isCollapsed && region.contains(chosen.anchorNode)) continue
      const id = region.contains(document.activeElement) && document.activeElement.id
      region.replaceChildren(...next.childNodes)
      if (id) document.getElementById(id)?.focus()
    }
  } catch {}
}, 3000)
`
