/**
 * When a webhook was signed, in milliseconds. Port documents seconds and three of its samples use
 * milliseconds: a value above 1e11 is milliseconds.
 *
 * @returns null where the header is no such number
 */
export function readTimestamp(header: string): number | null {
  if (!/^\d{1,15}$/.test(header)) return null
  const value = Number(header)
  return value > 1e11 ? value : value * 1000
}
