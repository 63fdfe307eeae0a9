// `source.api_config`: what is accepted, what is not, and that its page says the same.

import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { apiConfigSchema } from '../../../lib/http/config.ts'

const defaults = {
  retry_limit: 10,
  retry_seconds: 300,
  rate_limit_seconds: 3900,
  connect_timeout: 10,
  response_timeout: 60,
  body_timeout: 60,
  max_response_size: 64,
}

describe('api_config', () => {
  it('has one default for each key, however it is written', () => {
    expect(apiConfigSchema.parse({})).toEqual(defaults)
    expect(apiConfigSchema.parse({ requests_per_second: 0.5 })).toEqual({ ...defaults, requests_per_second: 0.5 })
  })

  it.each<[string, unknown[], unknown[]]>([
    ['retry_limit', [0, 100], [-1, 1.5, '10']],
    ['retry_seconds', [0, 0.5], [-1, 1e9]],
    ['rate_limit_seconds', [0, 86_400], [-1, 1e9]],
    ['connect_timeout', [0.1, 120], [0, -1, 1e9]],
    ['response_timeout', [0.1, 3600], [0, -1, 1e9]],
    ['body_timeout', [0.1, 3600], [0, -1, 1e9]],
    ['max_response_size', [0.5, 1024], [0, -1, 4096]],
    ['requests_per_second', [0.01, 50], [0, -1]],
    ['retries', [], [1]],
  ])('%s', (key, good, bad) => {
    for (const value of good) expect(apiConfigSchema.safeParse({ [key]: value }).success, String(value)).toBe(true)
    for (const value of bad) expect(apiConfigSchema.safeParse({ [key]: value }).success, String(value)).toBe(false)
  })

  it('is described with units and defaults, and on its page', async () => {
    const page = await readFile(new URL('../../../docs/http.md', import.meta.url), 'utf8')
    const rows = [...page.matchAll(/^\| `(\w+)` \| [^|]+ \| (\w+) \|/gm)].map(([, key, fallback]) => [key, fallback])
    expect(rows).toEqual([
      ...Object.entries(defaults).map(([key, fallback]) => [key, String(fallback)]),
      ['requests_per_second', 'none'],
    ])
    for (const schema of Object.values(apiConfigSchema.shape)) expect(schema.description).toMatch(/Default/)
  })
})
