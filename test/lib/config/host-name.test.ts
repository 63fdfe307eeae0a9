import { expect, test } from 'vitest'
import { hostName } from '../../../lib/config/fields.ts'

test.each(['db.example.com', '127.0.0.1', '::1', '2001:db8::5:1', 'localhost'])('%s is a host name', (name) => {
  expect(hostName('').safeParse(name).success).toBe(true)
})

test.each(['user:secret@db', 'db:5432', '127.0.0.1:5672', 'amqp://db', 'db/vhost'])('%s is none', (name) => {
  const { error } = hostName('').safeParse(name)
  expect(error?.issues.map(({ message }) => message)).toEqual([
    'is a host name alone: user, password and port have keys of their own',
  ])
})
