import { openRouteSchemas } from '../../tools/simulator/route-schemas.ts'

/** The violations of Port's published schema by a definition, `POST /v1/actions` (automations, too) or `POST /v1/workflows`. */
export const definitionProblems = (of: 'actions' | 'workflows', definition: unknown): string[] => [
  ...new Set(
    openRouteSchemas('port')
      .request(`POST /v1/${of}`, definition)
      .map(({ instancePath, message }) => `${instancePath} ${message}`),
  ),
]
