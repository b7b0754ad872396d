import { setGlobalProxyFromEnv } from 'node:http'
import { PROXIES, proxiesOf, proxyProblems } from '../config/proxies.ts'

const THIS_MACHINE = ['localhost', '127.0.0.1', '[::1]']

/**
 * Sends all requests through the proxy that the environment names, except those to `NO_PROXY` and to this machine. A
 * proxy that is not well-formed is left to those who read the configuration: they report it with all else.
 *
 * @param env the process's own: Node reads that too, and fails on a blank one, so that blank ones are removed
 */
export function useProxy(env: Record<string, string | undefined>): void {
  const proxies = Object.fromEntries(proxiesOf(env))
  if (Object.keys(proxies).length === 0 || proxyProblems(env).length > 0) return
  for (const name of PROXIES) if (proxies[name] === undefined) delete env[name]
  const direct = [env.NO_PROXY || env.no_proxy, ...THIS_MACHINE].filter(Boolean).join(',')
  setGlobalProxyFromEnv({ ...proxies, NO_PROXY: direct, no_proxy: direct })
}
