type Env = Record<string, string | undefined>

export const PROXIES = ['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy']

/** The proxies that an environment names; blank variables count as unset. */
export function proxiesOf(env: Env): [name: string, url: string][] {
  return PROXIES.map((name): [string, string] => [name, env[name]?.trim() ?? '']).filter(
    ([, url]) => url !== '',
  )
}

/** What is wrong with the proxies, a sentence each, without their values: they may hold a password. */
export function proxyProblems(env: Env): string[] {
  return proxiesOf(env)
    .filter(([, url]) => !isProxy(url))
    .map(
      ([name]) =>
        `${name} must be an http(s) URL, such as http://proxy.example.com:3128; in a user or password, write % as %25`,
    )
}

function isProxy(text: string): boolean {
  const url = /^https?:\/\/\S+$/i.test(text) ? URL.parse(text) : null
  if (url?.pathname !== '/' || /[?#]/.test(text)) return false
  try {
    decodeURIComponent(`${url.username}${url.password}`)
    return true
  } catch {
    return false
  }
}
