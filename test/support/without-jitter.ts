import { afterAll, beforeEach, vi } from 'vitest'

/** Removes the random part of the relay's and the action's delays from all tests of a file. */
export function withoutJitter(): void {
  beforeEach(() => void vi.spyOn(Math, 'random').mockReturnValue(0.5))
  afterAll(() => void vi.restoreAllMocks())
}
