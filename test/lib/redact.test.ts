import { expect, test } from 'vitest'
import { redactor } from '../../lib/redact.ts'

test.each([
  ['a query', new URLSearchParams({ k: 'a/b+c d=é' }).toString(), 'k=***'],
  ['a path', `/x/${encodeURIComponent('a/b+c d=é')}/y`, '/x/***/y'],
])('a secret is hidden in %s of a URL, where it is escaped', (_where, text, shown) => {
  expect(redactor(['a/b+c d=é'])(text)).toBe(shown)
})
