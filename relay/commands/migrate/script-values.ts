import type { Names } from './map-expression.ts'

/** A name as a script sets it: `name=`, `name<<EOF`, `::set-output name=name::`, or `setOutput('name', …)`. */
const setting = (name: string) =>
  new RegExp(
    String.raw`(?:^|[\s"'])${name}(?:=|<<)|\bname=${name}::|\b(?:setOutput|exportVariable)\(\s*["']${name}["']`,
  )

/**
 * What a script gives a name that it writes to a file of the runner, as texts of the workflow. A part of a context that a
 * line reads, such as by `jq -r .runId`, is the expression for it; what only the script knows is ''.
 *
 * @param env variables that the script has
 */
export function valuesIn(
  script: string,
  name: string,
  env: ReadonlyMap<string, string>,
  names: Names,
): string[] {
  const variables = new Map(env)
  const values: string[] = []
  for (const line of script.replaceAll('\\\n', ' ').split('\n')) {
    const known = line.replace(
      /\$\{(\w+)\}|\$(\w+)/g,
      (text, braced, bare) => variables.get(braced ?? bare) ?? text,
    )
    const set = setting(name).exec(known)
    if (set) values.push(textAfter(known.slice(set.index + set[0].length), names))
    const [assigned, variable] = /^\s*(?:export\s+)?(\w+)=/.exec(known) ?? []
    if (variable !== undefined) variables.set(variable, known.slice(assigned!.length).trim().slice(0, 2000))
  }
  return values
}

function textAfter(text: string, { contexts }: Names): string {
  const direct = /^["']*(\$\{\{[^{}]*\}\})["']*(?:\s|$)/.exec(text)?.[1]
  if (direct !== undefined) return direct
  const context = [...contexts].find(name =>
    new RegExp(String.raw`(?:inputs|client_payload)\W+${name}\b`).test(text),
  )
  // What is sent somewhere comes back as something else.
  const isRead = /[\s'")]\.?(context\.)?run_?id\b/i.test(text) && !/\b(curl|wget|gh|fetch)\b|:\/\//.test(text)
  return context !== undefined && isRead ? `\${{ fromJSON(inputs.${context}).runId }}` : ''
}
