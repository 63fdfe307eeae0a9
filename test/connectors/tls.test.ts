// Keys that are to name a file, and have the text of one: that may be a private key, and is shown nowhere.

import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { readTls, requirePem } from '../../connectors/tls.ts'

const PEM = '-----BEGIN PRIVATE KEY-----\nMIISECRET\n-----END PRIVATE KEY-----\n'

test.each([PEM, PEM.replaceAll('\n', ' '), 'MIISECRET\nMIISECRET'])('is not shown: %j', (text) => {
  for (const work of [() => requirePem(text, ['source', 'tls', 'key']), () => readTls({ key: text }, 'source')]) {
    let error: unknown
    try {
      work()
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({
      message: expect.stringMatching(
        /key:? is the text of a certificate or key, and not the name of a file that has it$/,
      ),
      hint: 'Write it to a file, and name that.',
    })
    expect(inspect(error)).not.toContain('SECRET')
  }
})
