// TLS: who is trusted under which sslmode, on a server with a certificate of an authority of its own.

import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect } from '../../../connectors/postgres.ts'
import type { SslMode } from '../../../lib/config/schema-tls.ts'
import { never } from '../../support/load.ts'
import { PostgresServer } from '../../support/services/postgres.ts'

const run = promisify(execFile)

let folder = ''
let server: PostgresServer
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bizon-tls-'))
  const made = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const names = ['-subj', '/CN=test', '-addext', 'subjectAltName=DNS:localhost']
  await run('openssl', ['req', ...made, ...names, '-keyout', 'key.pem', '-out', 'cert.pem'], { cwd: folder })
  await run('openssl', ['req', ...made, ...names, '-keyout', 'other-key.pem', '-out', 'other.pem'], { cwd: folder })
  server = await PostgresServer.create()
  for (const name of ['key.pem', 'cert.pem']) await copyFile(join(folder, name), await server.own(name))
  await server.kill('SIGINT')
  await server.start({ ssl: 'on', ssl_cert_file: 'cert.pem', ssl_key_file: 'key.pem' })
})
afterAll(async () => {
  await server.remove()
  await rm(folder, { recursive: true, force: true })
})

/** Whether the connection is encrypted. */
async function encrypted(mode: SslMode, host: string, rootCert?: string): Promise<boolean> {
  const ssl = { mode, ...(rootCert !== undefined && { rootCert: join(folder, rootCert) }) }
  const address = { host, port: server.port, user: 'postgres', database: 'postgres', ssl }
  const connection = await connect(address, never, 'destination')
  try {
    const { rows } = await connection.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
    return rows[0]?.ssl === true
  } finally {
    await connection.close()
  }
}

test.each([
  ['disable', '127.0.0.1', undefined, false],
  ['prefer', '127.0.0.1', undefined, true],
  ['require', '127.0.0.1', undefined, true],
  ['require', '127.0.0.1', 'cert.pem', true],
  ['verify-ca', '127.0.0.1', 'cert.pem', true],
  ['verify-full', 'localhost', 'cert.pem', true],
] as const)('sslmode %s, to %s, root %s: encrypted %s', async (mode, host, root, is) => {
  expect(await encrypted(mode, host, root)).toBe(is)
})

test.each([
  ['verify-ca', '127.0.0.1', undefined],
  ['verify-full', 'localhost', undefined],
  ['verify-full', '127.0.0.1', 'cert.pem'],
  // As in psql: with an authority named, `require` asks it.
  ['require', '127.0.0.1', 'other.pem'],
] as const)('sslmode %s, to %s, root %s: refused', async (mode, host, root) => {
  await expect(encrypted(mode, host, root)).rejects.toMatchObject({
    code: 'destination',
    message: expect.stringContaining('its certificate is not trusted'),
    hint: expect.stringContaining('sslrootcert'),
  })
})
