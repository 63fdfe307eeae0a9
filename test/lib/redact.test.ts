import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { redactError, redactor } from '../../lib/redact.ts'

test.each([
  ['a query', new URLSearchParams({ k: 'a/b+c d=é' }).toString(), 'k=***'],
  ['a path', `/x/${encodeURIComponent('a/b+c d=é')}/y`, '/x/***/y'],
])('a secret is hidden in %s of a URL, where it is escaped', (_where, text, shown) => {
  expect(redactor(['a/b+c d=é'])(text)).toBe(shown)
})

test('a secret is hidden wherever an error holds it', () => {
  const refused = Object.assign(new Error('getaddrinfo ENOTFOUND secret.example'), {
    hostname: 'secret.example',
    port: 1,
  })
  const cause = new AggregateError([refused], 'all of secret.example')
  const error = new Error('cannot reach secret.example', { cause })
  refused.cause = error
  redactError(error, ['secret.example'])
  expect(inspect(error)).not.toContain('secret')
  expect(refused).toMatchObject({ hostname: '***', port: 1, message: 'getaddrinfo ENOTFOUND ***' })
})
