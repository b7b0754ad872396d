const PREFIX = 'port_relay_'

export interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

/** Returns the samples in a `/metrics` response, without the prefix of their names. */
function readSamples(text: string): Sample[] {
  return text
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(line => {
      const [, name = '', labels = '', value = ''] = /^port_relay_(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
      if (name === '') throw new Error(`Not a sample of the relay: ${line}`)
      const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text])
      return { name, labels: Object.fromEntries(pairs), value: Number(value.replace('Nan', 'NaN')) }
    })
}

/** Returns the samples of one series. The samples of a histogram are its buckets, sum, and count. */
export const samplesOf = (text: string, name: string): Sample[] =>
  readSamples(text).filter(sample => sample.name.replace(/_(bucket|sum|count)$/, '') === name)

/** Indexes samples by name, then by label value: `series.webhooks_total.accepted`. Omits buckets. */
export function readSeries(text: string): Partial<Record<string, Record<string, number>>> {
  const series: Record<string, Record<string, number>> = {}
  for (const { name, labels, value } of readSamples(text)) {
    if (labels.le !== undefined) continue
    series[name] = { ...series[name], [Object.values(labels).join()]: value }
  }
  return series
}

/** Returns the names that `/metrics` declares, each with its type. */
export const declaredIn = (text: string): Map<string, string> =>
  new Map(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!.slice(PREFIX.length), type!]),
  )
