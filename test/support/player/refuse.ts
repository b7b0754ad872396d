/** What the player does with anything it does not know: it stops and names it. */
export function refuse(what: string): never {
  throw new Error(`The workflow player does not know ${what}.`)
}

/** Refuses every key of a mapping that is not in the list. */
export function refuseOtherKeys(mapping: object, known: readonly string[], at: string): void {
  for (const key of Object.keys(mapping)) {
    if (!known.includes(key)) refuse(`"${key}" in ${at}`)
  }
}
