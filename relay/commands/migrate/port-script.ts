import { jsonTemplate, jsonText, splitStrings } from './json-template.ts'
import { deletion, type ReadStep, type Report, readLinks, writeObject } from './port-step.ts'
import { plainText, readShell, type ShellCommand, type Word } from './shell-words.ts'
import { mark } from './template.ts'

/** What a `run:` script that calls Port's API is: reports alone, the getting of a token, or more than that. */
export type ReadScript = ReadStep | { token: true } | null

/** Variables with the text that they hold, `${{ }}` included. */
type Variables = Map<string, string>

const PORT_API = /\bapi\.(?:us\.)?(?:port|getport)\.io\b/
/** The routes by which workflows report; the address before them may be in a variable. */
const ROUTE =
  /\/(auth\/access_token|actions\/runs\/([^/]{1,300})(\/logs)?|blueprints\/([^/]{1,300})\/entities(?:\/([^/]{1,300}))?|entities\/search)\/?$/

/** Whether a text calls Port's API, or may: the address may be in a variable such as `$PORT_API_URL`. */
export function namesPort(text: string): boolean {
  if (PORT_API.test(text) || /\/v1\/(actions\/runs|blueprints|auth\/access_token)\b/.test(text)) return true
  const before = text.split(/\/(?:actions\/runs|blueprints|auth\/access_token)\b/).slice(0, -1)
  return before.some(each => each.slice(-40).toUpperCase().includes('PORT') && !each.includes('/repos/'))
}

/**
 * Reads a script. Only one whose every command is understood becomes reports; where it does more, a person must look.
 *
 * @param env the step's own variables
 * @returns null where it does not call Port
 */
export function readPortScript(script: string, env: Variables): ReadScript {
  if (!namesPort(script)) return null
  const { marked, expressions } = mark(script)
  const commands = readShell(marked, expressions)
  const more = {
    problem:
      'the script calls Port’s API and does more than that: the step stays; let $PORT_LOG, $PORT_RUN and $PORT_ENTITIES replace the calls.',
  }
  if (!commands) return more
  const variables: Variables = new Map(env)
  const secret = new Set<string>()
  const reports: Report[] = []
  let reported = false
  for (let index = 0; index < commands.length; index++) {
    const command = commands[index]!
    const [first] = command.words
    const name = plainText(first)
    const assigned = assignment(command)
    if (assigned) {
      if (assigned.token) secret.add(assigned.name)
      else {
        const text = template(assigned.value, variables, secret)
        if (text === null) return more
        variables.set(assigned.name, text)
      }
    } else if (name === 'curl') {
      const read = readCurl(command, variables, secret)
      if (read === null) return more
      if ('problem' in read) return read
      reports.push(...read.reports)
      reported = true
      // Its answer may be shown: `| jq .`
      while (commands[index]!.then === '|') {
        index++
        if (!/^(jq|cat|head|tee|grep)$/.test(plainText(commands[index]?.words[0]) ?? '')) return more
      }
    } else if (name === 'echo' || name === 'set' || name === ':' || name === 'true') {
      if (command.then === '|') return more
      const target = command.words.findIndex(word => /^>>?$/.test(plainText(word) ?? ''))
      const said = target === -1 ? command.words : command.words.slice(0, target)
      // What is exported must be the token alone.
      const namesToken = said.some(word => word.some(part => 'variable' in part && secret.has(part.variable)))
      if (target !== -1 && !namesToken) return more
      if (said.some(word => word.some(part => 'command' in part))) return more
    } else return more
  }
  if (!reported) return secret.size > 0 ? { token: true } : more
  return { reports }
}

function assignment({ words }: ShellCommand): { name: string; value: Word; token: boolean } | null {
  const [word] = words
  if (words.length !== 1 || !word || !('text' in word[0]!)) return null
  const match = /^([A-Za-z_]\w*)=/.exec(word[0].text)
  if (!match) return null
  const value = [{ text: word[0].text.slice(match[0].length) }, ...word.slice(1)]
  const token = value.some(
    part => 'command' in part && /\bcurl\b/.test(part.command) && part.command.includes('/auth/access_token'),
  )
  return { name: match[1]!, value, token }
}

/** The word as a text of the workflow; null where it holds what only the script knows. */
function template(word: Word, variables: Variables, secret: Set<string>): string | null {
  let text = ''
  for (const part of word) {
    if ('text' in part) text += part.text
    else if ('expression' in part) text += `\${{ ${part.expression} }}`
    else if ('variable' in part && !secret.has(part.variable))
      text += variables.get(part.variable) ?? fromRunner(part.variable)
    else return null
  }
  return text
}

/** A variable that the step has from elsewhere. */
function fromRunner(variable: string): string {
  const name = /^GITHUB_([A-Z_]+)$/.exec(variable)?.[1]?.toLowerCase()
  const known =
    'actor ref ref_name repository repository_owner run_attempt run_id run_number server_url sha workflow'
  return `\${{ ${name && known.split(' ').includes(name) ? `github.${name}` : `env.${variable}`} }}`
}

function readCurl(command: ShellCommand, variables: Variables, secret: Set<string>): ReadStep | null {
  let method: string | null = null
  let url: string | null = null
  let data: string | null = null
  const words = command.words.slice(1)
  while (words.length > 0) {
    const word = words.shift()!
    const option = plainText(word)
    if (option !== null && /^(-X|--request)$/.test(option)) method = plainText(words.shift())
    else if (option !== null && /^-X[A-Z]+$/.test(option)) method = option.slice(2)
    else if (option !== null && /^(-d|--data|--data-raw|--data-binary|--json)$/.test(option)) {
      const value = template(words.shift() ?? [], variables, secret)
      if (value === null || value.startsWith('@')) return null
      data = value
    } else if (
      option !== null &&
      /^(-H|--header|-o|--output|-w|--write-out|-m|--max-time|--retry|-u|--user)$/.test(option)
    )
      words.shift()
    else if (option !== null && /^>>?$/.test(option)) words.shift()
    else if (option?.startsWith('-')) {
      if (/^--url(=|$)/.test(option)) url = template(words.shift() ?? [], variables, secret)
    } else if (option !== '2') url = template(word, variables, secret) ?? url
  }
  const [path, query = ''] = (url ?? '').split('?')
  const route = ROUTE.exec(path!)
  if (!route) return null
  const verb = method?.toUpperCase() ?? (data === null ? 'GET' : 'POST')
  if (route[1] === 'auth/access_token') return { reports: [] }
  if (route[2] !== undefined) return verb === 'GET' ? null : readRunBody(data)
  if (route[4] === undefined || verb === 'GET') {
    return { problem: 'the script reads entities from Port, which the action does not: the step stays.' }
  }
  if (/create_missing_related_entities=true|delete_dependents=true/.test(query))
    return { problem: 'the call’s options are no part of $PORT_ENTITIES: the step stays.' }
  if (verb === 'DELETE')
    return route[5] === undefined ? null : deletion(jsonText(route[4]), jsonText(route[5]))
  if (verb !== 'POST' || route[5] !== undefined) {
    return { problem: `${verb} on entities is not what $PORT_ENTITIES does: the step stays.` }
  }
  return readEntityBody(route[4], data)
}

/** The top-level fields of a JSON object as templates; null where it is none. */
function fieldsOf(data: string | null): [string, string][] | null {
  if (data === null) return null
  const { marked, restore } = mark(data)
  // An expression outside a string is put into one, so that the text reads as JSON; it has a mark of its own.
  const whole = splitStrings(marked.replace(/[\r\n]/g, ' '))
    .map(({ text, isString }) => (isString ? text : text.replace(/\uE000\d{1,6}\uE001/g, '"\uE002$&"')))
    .join('')
  const back = (text: string) => restore(text.replace(/"\uE002(\uE000\d+\uE001)"/g, '$1'))
  try {
    const object: unknown = JSON.parse(whole)
    if (typeof object !== 'object' || object === null || Array.isArray(object)) return null
    return Object.entries(object).map(([name, value]) => [name, back(JSON.stringify(value, null, 2))])
  } catch {
    return null
  }
}

/** A JSON string as the text that it is; what is no string as it stands. */
function textOf(json: string): string {
  if (!json.startsWith('"')) return json
  const { marked, restore } = mark(json)
  return restore(JSON.parse(marked) as string)
}

function readRunBody(data: string | null): ReadStep | null {
  const fields = fieldsOf(data)
  if (!fields) return null
  const reports: Report[] = []
  for (const [name, json] of fields) {
    if (name === 'message') reports.push({ kind: 'log', text: textOf(json) })
    else if (name === 'statusLabel') reports.push({ kind: 'status-label', text: textOf(json) })
    else if (name === 'summary') reports.push({ kind: 'summary', text: textOf(json) })
    else if (name === 'status' || name === 'terminationStatus')
      reports.push({ kind: 'status', text: textOf(json) })
    else if (name === 'link') reports.push(...readLinks(textOf(json)))
    else if (name !== 'externalRunId') return null
  }
  return { reports }
}

function readEntityBody(blueprint: string, data: string | null): ReadStep | null {
  const fields = fieldsOf(data)
  if (!fields) return null
  if (!fields.some(([name]) => name === 'identifier'))
    return { problem: 'the entity has no identifier, which $PORT_ENTITIES needs: the step stays.' }
  const written: [string, string][] = [['blueprint', jsonText(blueprint)]]
  for (const [name, json] of fields) {
    const safe = jsonTemplate(json)
    if ('problem' in safe) return null
    if (name !== 'blueprint') written.push([name, safe.text])
  }
  return { reports: [{ kind: 'entity', json: writeObject(written) }] }
}
