import { PortError } from './port-error.ts'

export interface Token {
  value: string
  /** ms epoch */
  expiresAt: number
}

/**
 * Hands out one token until shortly before its end; calls at the same time share one minting.
 * Port hands out the same token until it expires, so a fresh one may be near its end: the margin
 * is a tenth of what is left, at most a minute.
 *
 * @param first one that was minted before
 */
export function createTokenCache(
  mint: () => Promise<Token>,
  clock: () => number,
  first: Token | null = null,
) {
  let latest = first
  let current: Promise<Token & { renewAt: number }> | null = first && Promise.resolve(withMargin(first))

  async function obtain() {
    latest = await mint().catch(error => {
      if (error instanceof PortError) error.ofToken = true
      throw error
    })
    return withMargin(latest)
  }

  function withMargin(token: Token) {
    const left = token.expiresAt - clock()
    return { ...token, renewAt: token.expiresAt - Math.min(60_000, left / 10) }
  }

  function start() {
    const minting = obtain()
    current = minting
    minting.catch(() => {
      if (current === minting) current = null
    })
    return minting
  }

  return {
    /** The one that was minted last; null before that. */
    current: () => latest,
    async get(): Promise<string> {
      const held = current
      const token = await (held ?? start())
      if (held === null || token.renewAt > clock()) return token.value
      return (await (current === held ? start() : (current ?? start()))).value
    },
    /** Forgets a token that Port no longer accepts, unless another call has replaced it already. */
    async drop(value: string): Promise<void> {
      const held = current
      if (held && (await held.catch(() => null))?.value === value && current === held) current = null
    },
  }
}
