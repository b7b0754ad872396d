/** A GitHub run id as Port's `externalRunId` holds it; null where it is something else. */
export const toGithubRunId = (id: string | null): number | null =>
  id !== null && /^\d{1,15}$/.test(id) ? Number(id) : null
