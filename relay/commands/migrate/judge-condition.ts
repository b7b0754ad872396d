import { data, Evaluator, type Expr, Lexer, Parser } from '@actions/expressions'
import {
  Binary,
  ContextAccess,
  FunctionCall,
  Grouping,
  IndexAccess,
  Literal,
  Logical,
  Unary,
} from '@actions/expressions/ast'
import type { FunctionDefinition } from '@actions/expressions/funcs/info'

type Result = 'success' | 'failure'
/** How a job goes, and those before it, as far as a condition can be known from the workflow alone. */
export interface Course {
  job: Result
  needs: Result
}

/** What an expression is in a course of the job; undefined where that depends on more. */
type Value = string | number | boolean | null | undefined

const CONTEXTS = 'github inputs vars secrets env job jobs steps runner strategy matrix needs'.split(' ')
const STATUS = ['success', 'failure', 'cancelled', 'always']
const HASH_FILES: FunctionDefinition = {
  name: 'hashFiles',
  minArgs: 1,
  maxArgs: 255,
  call: () => new data.StringData(''),
}

/** Whether a step with this condition runs in a job of that course; undefined where it depends on more. */
export function stepRuns(condition: string | null, course: Course): boolean | undefined {
  return runs(condition, course, course.job)
}

/** The same for a job: its status functions ask for the jobs before it. */
export function jobRuns(condition: string | null, { needs }: Course): boolean | undefined {
  return runs(condition, { job: needs, needs }, needs)
}

function runs(condition: string | null, course: Course, status: Result): boolean | undefined {
  const source = bare(condition ?? 'success()')
  const tree = parse(source)
  if (!tree) return undefined
  const value = judge(tree, course)
  const known = value === undefined ? undefined : isTrue(value)
  if (callsStatus(tree)) return known
  return status === 'success' ? known : false
}

/** What an expression gives in a job of that course; undefined where it depends on more. */
export function valueIn(source: string, course: Course): Value {
  const tree = parse(bare(source))
  return tree ? judge(tree, course) : undefined
}

/** `if:` may have its expression in `${{ }}`. */
function bare(condition: string): string {
  const trimmed = condition.trim()
  return trimmed.startsWith('${{') && trimmed.endsWith('}}') && trimmed.indexOf('${{', 3) === -1
    ? trimmed.slice(3, -2)
    : trimmed
}

function parse(source: string): Expr | null {
  const functions = STATUS.map(name => ({ ...HASH_FILES, name, minArgs: 0 }))
  try {
    return new Parser(new Lexer(source).lex().tokens, CONTEXTS, [...functions, HASH_FILES]).parse()
  } catch {
    return null
  }
}

function judge(tree: Expr, course: Course): Value {
  if (tree instanceof Grouping) return judge(tree.group, course)
  if (tree instanceof Literal) return literal(tree)
  if (tree instanceof Unary) {
    const value = judge(tree.expr, course)
    return value === undefined ? undefined : !isTrue(value)
  }
  if (tree instanceof Logical) return logical(tree, course)
  if (tree instanceof FunctionCall) return call(tree, course)
  if (tree instanceof IndexAccess) return path(tree) === 'job.status' ? course.job : result(tree, course)
  if (tree instanceof Binary) {
    const [left, right] = [judge(tree.left, course), judge(tree.right, course)]
    return left === undefined || right === undefined ? undefined : evaluate(tree, left, right)
  }
  return undefined
}

function literal({ literal }: Literal): Value {
  const value: unknown = JSON.parse(JSON.stringify(literal, data.replacer))
  return value as Value
}

function logical({ operator, args }: Logical, course: Course): Value {
  const stops = operator.lexeme === '||'
  let unknown = false
  let last: Value
  for (const arg of args) {
    last = judge(arg, course)
    if (last === undefined) unknown = true
    // What is unknown before it may be the value, but not change whether it holds.
    else if (isTrue(last) === stops) return unknown ? stops : last
  }
  return unknown ? undefined : last
}

function call({ functionName, args }: FunctionCall, course: Course): Value {
  switch (functionName.lexeme.toLowerCase()) {
    case 'always':
      return true
    case 'success':
      return course.job === 'success'
    case 'failure':
      return course.job === 'failure'
    case 'cancelled':
      return false
    case 'contains': {
      // contains(needs.*.result, 'failure')
      const [list, item] = args
      const text = item && judge(item, course)
      if (!list || path(list) !== 'needs.*.result' || typeof text !== 'string') return undefined
      return text.toLowerCase() === course.needs || (course.needs === 'failure' ? undefined : false)
    }
    default:
      return undefined
  }
}

/** `needs.build.result`: one job before this one that is known is as the course. */
function result(tree: IndexAccess, course: Course): Value {
  const name = path(tree)
  return name !== null && /^needs\.[^.*]+\.result$/.test(name) ? course.needs : undefined
}

/** `a.b.*.c` in lower case; null where an index is not written out. */
function path(tree: Expr): string | null {
  if (tree instanceof ContextAccess) return tree.name.lexeme.toLowerCase()
  if (!(tree instanceof IndexAccess)) return null
  const parent = path(tree.expr)
  const index =
    tree.index instanceof Literal ? literal(tree.index) : tree.index.constructor.name === 'Star' ? '*' : null
  return parent === null || index === null ? null : `${parent}.${index}`.toLowerCase()
}

function evaluate(tree: Binary, left: Value, right: Value): Value {
  const text = (value: Value) =>
    typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value)
  const source = `${text(left)} ${tree.operator.lexeme} ${text(right)}`
  const parsed = parse(source)
  if (!parsed) return undefined
  return JSON.parse(
    JSON.stringify(new Evaluator(parsed, new data.Dictionary(), new Map()).evaluate(), data.replacer),
  ) as Value
}

function callsStatus(tree: Expr): boolean {
  if (tree instanceof FunctionCall)
    return STATUS.includes(tree.functionName.lexeme.toLowerCase()) || tree.args.some(callsStatus)
  if (tree instanceof Grouping) return callsStatus(tree.group)
  if (tree instanceof Unary) return callsStatus(tree.expr)
  if (tree instanceof Logical) return tree.args.some(callsStatus)
  if (tree instanceof Binary) return callsStatus(tree.left) || callsStatus(tree.right)
  if (tree instanceof IndexAccess) return callsStatus(tree.expr) || callsStatus(tree.index)
  return false
}

/** GitHub's rules of truth. */
const isTrue = (value: Exclude<Value, undefined>): boolean =>
  value !== false && value !== null && value !== 0 && value !== ''
