import nock from 'nock'
import { afterAll, beforeAll } from 'vitest'

/** Returns nock, which intercepts requests only while the calling test file runs, because files share processes. */
export function useNock(): typeof nock {
  beforeAll(() => {
    if (!nock.isActive()) nock.activate()
  })
  afterAll(() => nock.restore())
  return nock
}
