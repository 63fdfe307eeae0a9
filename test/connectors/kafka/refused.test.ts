import { expect, test } from 'vitest'
import { kafkaError } from '../../../connectors/kafka/errors.ts'

test.each([
  ['sslv3 alert bad certificate: SSL alert number 42', 'Set tls.cert and tls.key.'],
  ['tlsv13 alert certificate required: SSL alert number 116', 'Set tls.cert and tls.key.'],
  ['self-signed certificate in certificate chain', 'Set tls.ca to the certificate of its authority.'],
])('%s is told with what to set', (text, hint) => {
  expect(kafkaError(new Error(text), { code: 'source', brokers: ['b:1'] })).toMatchObject({ hint })
})
