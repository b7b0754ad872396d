import nock from 'nock'
import { afterAll, beforeAll } from 'vitest'

// Importing nock activates it.
nock.restore()

/** Returns nock, which intercepts requests only while the calling test file runs, because files share processes. */
export function useNock(): typeof nock {
  beforeAll(() => nock.activate())
  afterAll(() => nock.restore())
  return nock
}
