type Texts = Record<string, string>
type Client = { clientId: string; clientSecret: string }

/** The credentials with which a workflow reports to Port's stand-in. */
export interface Credentials {
  /** The stand-in's credentials, as far as the command line gives them; the stand-in generates the rest. */
  port: Partial<Client>
  /** Whether the workflow has none, and authenticates at the relay by OIDC instead. */
  byOidc: boolean
  /** Secrets and variables of the repository: those of the command line, and the stand-in's under the workflow's names. */
  given(client: Client): { secrets: Texts; vars: Texts }
  /** What the reader should know, a sentence each. */
  notes: string[]
}

/** Finds the names under which a workflow has its credentials of Port, and what else it reads that nobody gives. */
export function findCredentials(yaml: string, options: { secrets: Texts; vars: Texts }): Credentials {
  const names: { input: 'clientId' | 'clientSecret'; context: 'secrets' | 'vars'; name: string }[] = [
    { input: 'clientId', context: 'vars', name: 'PORT_CLIENT_ID' },
    { input: 'clientSecret', context: 'secrets', name: 'PORT_CLIENT_SECRET' },
  ]
  for (const [, input, context, name] of yaml.matchAll(
    /port-client-(id|secret):\s*["']?\$\{\{\s*(vars|secrets)\.(\w+)/g,
  )) {
    names.push({
      input: input === 'id' ? 'clientId' : 'clientSecret',
      context: context as 'vars' | 'secrets',
      name: name!,
    })
  }
  const port: Partial<Client> = {}
  for (const { input, context, name } of names)
    if (options[context][name]) port[input] = options[context][name]

  const byOidc = !/port-client-secret:/.test(yaml) && /id-token:\s*write|permissions:\s*write-all/.test(yaml)
  const isGiven = (context: 'secrets' | 'vars', name: string) =>
    ['GITHUB_TOKEN', 'PORT_API_URL'].includes(name) ||
    name in options[context] ||
    names.some(each => each.context === context && each.name === name)
  const read = [...yaml.matchAll(/\b(secrets|vars)\.(\w+)/g)].map(([text, context, name]) => ({
    text,
    given: isGiven(context as 'secrets' | 'vars', name!),
  }))
  const empty = [...new Set(read.filter(({ given }) => !given).map(({ text }) => text))]
  return {
    port,
    byOidc,
    given(client) {
      const all = { secrets: { ...options.secrets }, vars: { ...options.vars } }
      for (const { input, context, name } of names) all[context][name] = client[input]
      return all
    },
    notes: [
      ...(byOidc ? ["On GitHub it reports through the relay; here directly to Port's stand-in."] : []),
      ...(empty.length > 0
        ? [`Empty here: ${empty.join(', ')}. Give them by --secret NAME=VALUE and --var NAME=VALUE.`]
        : []),
    ],
  }
}
