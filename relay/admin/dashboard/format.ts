import { html } from 'hono/html'
import type { HtmlEscapedString } from 'hono/utils/html'
import { MOST_COUNTED } from '../../store/sql/claims.ts'

export type Html = HtmlEscapedString | Promise<HtmlEscapedString>

const UNITS = { d: 86_400_000, h: 3_600_000, min: 60_000, s: 1_000 }

/** Formats a duration (in milliseconds) in the largest suitable unit, for example `5 min`. */
export function span(ms: number): string {
  const [unit, size] = Object.entries(UNITS).find(([, each]) => ms >= each) ?? ['s', 1_000]
  return `${Math.max(0, Math.floor(ms / size))} ${unit}`
}

/** Formats a time as an age. */
export const ago = (time: number, now: number) =>
  html`<time datetime="${iso(time)}" title="${clock(time)}" data-ago>${span(now - time)} ago</time>`

/** Formats a time to the second. The page's script converts the time to local time, and omits today's date. */
export const at = (time: number) =>
  html`<time datetime="${iso(time)}" title="${clock(time)}">${clock(time)}</time>`

export const withTimes = (text: string) =>
  html`${text
    .split(/(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC)/)
    .map((part, i) => (i % 2 === 0 || Number.isNaN(Date.parse(part)) ? part : at(Date.parse(part))))}`

export const id = (text: Html | string) => html`<code data-copy>${text}</code>`

const iso = (time: number) => new Date(time).toISOString()
const clock = (time: number) => `${iso(time).slice(0, 19).replace('T', ' ')} UTC`

export const link = (url: string | null, text: string) =>
  url !== null && /^https?:\/\//i.test(url)
    ? html`<a href="${url}" rel="noreferrer">${text}</a>`
    : html`${text}`

export const number = (amount: number) => amount.toLocaleString('en-US')
export const counted = (amount: number) =>
  amount >= MOST_COUNTED ? `${number(MOST_COUNTED)}+` : number(amount)

export const amount = (count: number) => (count === 1 ? '1 delivery' : `${counted(count)} deliveries`)

/** Returns a query such as `?a=b`, with the parameters that have a value; an empty text if no parameter has one. */
export function query(parameters: Record<string, string | number | null | undefined>): string {
  const given = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value ?? '') given.set(name, String(value))
  return given.size === 0 ? '' : `?${given}`
}
