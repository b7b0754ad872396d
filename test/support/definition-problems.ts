import { openRouteSchemas } from '../../simulator/route-schemas.ts'

/** Returns a definition's violations of Port's schema: `POST /v1/actions` (also automations) or `/v1/workflows`. */
export const definitionProblems = (of: 'actions' | 'workflows', definition: unknown): string[] => [
  ...new Set(
    openRouteSchemas('port')
      .request(`POST /v1/${of}`, definition)
      .map(({ instancePath, message }) => `${instancePath} ${message}`),
  ),
]
