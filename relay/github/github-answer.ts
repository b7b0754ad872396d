/** GitHub's API answers in JSON; a proxy in between, or GitHub's front, has pages. */
export const isForeign = (data: unknown) => typeof data !== 'object' || data === null

/** What the body of a refusal says. */
export function readMessage(data: unknown): string {
  const says = (data as { message?: unknown } | null | undefined)?.message
  return typeof says === 'string' && says !== '' ? says.slice(0, 300) : 'no reason given'
}
