import { parseJson } from '../../../port/parse-json.ts'
import { isObject } from '../../../port/types.ts'
import { jsonTemplate, jsonText, splitStrings } from './json-template.ts'
import {
  anotherRun,
  type Credentials,
  deletion,
  type IsOwnRunId,
  type ReadStep,
  type Report,
  readLinks,
  WITHOUT_RUN,
  writeObject,
} from './port-step.ts'
import { plainText, readShell, type ShellCommand, type Word } from './shell-words.ts'
import { mark } from './template.ts'

/** What a `run:` script that calls Port's API is: reports alone, the getting of a token, or more than that. */
export type ReadScript = ReadStep | { token: Credentials | null } | null

/** Variables with the text that they hold, `${{ }}` included. */
type Variables = Map<string, string>

/** The variables of a script: null for one that has the token. */
interface Shell {
  variables: Map<string, string | null>
  isOwnRunId: IsOwnRunId
}

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
 * @param env the variables of step, job and workflow
 * @returns null where it does not call Port
 */
export function readPortScript(script: string, env: Variables, isOwnRunId: IsOwnRunId): ReadScript {
  if (!namesPort(script)) return null
  const { marked, expressions } = mark(script)
  const commands = readShell(marked, expressions)
  const more = {
    problem:
      'the script calls Port’s API, and not all of it is understood: the step stays; let $PORT_LOG, $PORT_RUN and $PORT_ENTITIES replace the calls.',
  }
  if (!commands) return more
  const shell: Shell = { variables: new Map([...FROM_RUNNER, ...env]), isOwnRunId }
  const isSecret = (name: string) => shell.variables.get(name) === null
  const reports: Report[] = []
  let reported = false
  let token: Credentials | null | undefined
  for (let index = 0; index < commands.length; index++) {
    const command = commands[index]!
    const [first] = command.words
    const name = plainText(first)
    const assigned = assignment(command)
    if (assigned) {
      const text = template(assigned.value, shell)
      const request = text === null ? tokenRequest(assigned.value) : null
      if (request !== null) token = readCredentials(request, expressions, shell)
      else if (text === null) return more
      shell.variables.set(assigned.name, text)
    } else if (name === 'curl') {
      if (commands[index - 1]?.then === '||') return more
      const read = readCurl(command, shell)
      if (read === null) return more
      if ('problem' in read) return read
      const isTolerant = !command.words.some(failsOnRefusal) || /^\|/.test(command.then)
      reports.push(...read.reports.map(each => (each.kind === 'entity' ? { ...each, isTolerant } : each)))
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
      const namesToken = said.some(word => word.some(part => 'variable' in part && isSecret(part.variable)))
      if (target !== -1 && !namesToken) return more
      if (said.some(word => word.some(part => 'command' in part))) return more
      // A command to the runner, such as `::set-output`.
      if (said.some(word => /^::(?!add-mask::)/.test(template(word, shell) ?? ''))) return more
    } else return more
  }
  if (!reported) return token === undefined ? more : { token }
  return { reports }
}

function assignment({ words }: ShellCommand): { name: string; value: Word } | null {
  const [word] = words
  if (words.length !== 1 || !word || !('text' in word[0]!)) return null
  const match = /^([A-Za-z_]\w*)=/.exec(word[0].text)
  if (!match) return null
  return { name: match[1]!, value: [{ text: word[0].text.slice(match[0].length) }, ...word.slice(1)] }
}

/** The command that asks Port for a token. */
function tokenRequest(word: Word): string | null {
  const commands = word.flatMap(part => ('command' in part ? part.command : []))
  return commands.find(each => /\bcurl\b/.test(each) && each.includes('/auth/access_token')) ?? null
}

function readCredentials(request: string, expressions: string[], shell: Shell): Credentials | null {
  const [command] = readShell(request, expressions) ?? []
  const call = command && readCall(command, shell)
  const fields = new Map(fieldsOf(call?.data ?? null))
  const [id, secret] = [fields.get('clientId'), fields.get('clientSecret')]
  if (!call?.url || id === undefined || secret === undefined) return null
  return { id: textOf(id), secret: textOf(secret), url: call.url.replace(/\/v1\/auth\/.*/, '') }
}

/** The word as a text of the workflow; null where it holds what only the script knows. */
function template(word: Word, { variables }: Shell): string | null {
  let text = ''
  for (const part of word) {
    if ('text' in part) text += part.text
    else if ('expression' in part) text += `\${{ ${part.expression} }}`
    else {
      const value = 'variable' in part ? variables.get(part.variable) : null
      if (typeof value !== 'string') return null
      text += value
    }
  }
  return text
}

/** What the runner sets, and an expression has too. */
const FROM_RUNNER =
  'actor ref ref_name repository repository_owner run_attempt run_id run_number server_url sha workflow'
    .split(' ')
    .map(name => [`GITHUB_${name.toUpperCase()}`, `\${{ github.${name} }}`] as const)

/** Options of `curl` without a value, which change nothing of what is sent. */
const SILENT_OPTION =
  /^(-[sSfLkvi]+|--(silent|show-error|fail|fail-with-body|location|insecure|verbose|include))$/

/** Without it, `curl` succeeds whatever the status is. */
const failsOnRefusal = (word: Word): boolean =>
  /^(-[sSLkvi]*f[sSfLkvi]*|--fail(-with-body)?)$/.test(plainText(word) ?? '')

interface Call {
  method: string
  url: string
  data: string | null
}

/** What a `curl` sends; null where that is not known. */
function readCall(command: ShellCommand, shell: Shell): Call | null {
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
      const value = template(words.shift() ?? [], shell)
      if (value === null || value.startsWith('@')) return null
      data = value
    } else if (
      option !== null &&
      /^(-H|--header|-o|--output|-w|--write-out|-m|--max-time|--retry|-u|--user)$/.test(option)
    )
      words.shift()
    else if (option !== null && /^>>?$/.test(option)) words.shift()
    else if (option === '--url') url = template(words.shift() ?? [], shell)
    else if (option?.startsWith('-')) {
      if (!SILENT_OPTION.test(option)) return null
    } else if (option !== '2') {
      if (url !== null) return null
      url = template(word, shell)
      if (url === null) return null
    }
  }
  return url === null
    ? null
    : { method: method?.toUpperCase() ?? (data === null ? 'GET' : 'POST'), url, data }
}

function readCurl(command: ShellCommand, shell: Shell): ReadStep | null {
  const call = readCall(command, shell)
  if (!call) return null
  const { method, url, data } = call
  const [path, query = ''] = url.split('?')
  const route = ROUTE.exec(path!)
  if (!route) return null
  if (route[1] === 'auth/access_token') return { reports: [] }
  if (route[2] !== undefined) {
    if (!shell.isOwnRunId(route[2])) return anotherRun(route[2])
    return method === 'GET' ? null : readRunBody(data)
  }
  if (route[4] === undefined || method === 'GET') {
    return { problem: 'the script reads entities from Port, which the action does not: the step stays.' }
  }
  const options = new URLSearchParams(query)
  const runId = options.get('run_id') ?? ''
  if (!shell.isOwnRunId(runId)) return runId === '' ? WITHOUT_RUN : anotherRun(runId)
  options.delete('run_id')
  options.sort()
  if (method === 'DELETE' && route[5] !== undefined && options.size === 0)
    return deletion(jsonText(route[4]), jsonText(route[5]))
  if (method !== 'POST' || route[5] !== undefined || String(options) !== 'merge=true&upsert=true') {
    return {
      problem: `${method} on entities${query && ` with ${query}`} is not what $PORT_ENTITIES does, which is upsert=true&merge=true: the step stays.`,
    }
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
  const object = parseJson(whole)
  if (!isObject(object)) return null
  return Object.entries(object).map(([name, value]) => [name, back(JSON.stringify(value, null, 2))])
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
  const checks: string[] = []
  const written: [string, string][] = [['blueprint', jsonText(blueprint)]]
  for (const [name, json] of fields) {
    const safe = jsonTemplate(json)
    if ('problem' in safe) return null
    if (name !== 'blueprint') written.push([name, safe.text])
    checks.push(...safe.checks)
  }
  return { reports: [{ kind: 'entity', json: writeObject(written), checks }] }
}
