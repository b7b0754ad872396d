/**
 * Whole ms epoch at this process's start and the time since: it goes on evenly, also where the machine's clock is set back
 * or forward meanwhile, as that of a machine that has just woken up.
 */
export const clock = (): number => Math.round(performance.timeOrigin + performance.now())
