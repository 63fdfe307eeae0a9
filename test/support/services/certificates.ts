// A certificate authority of its own for a server: `ca.pem`, the server's keystore, a client's certificate and key.

import { execFile } from 'node:child_process'
import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Once for a folder. */
export async function makeCertificates(folder: string): Promise<void> {
  const isThere = await access(join(folder, 'client.pem')).then(
    () => true,
    () => false,
  )
  if (isThere) return
  const openssl = (...args: readonly string[]): Promise<unknown> => run('openssl', args, { cwd: folder })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-batch', '-days', '30']
  await openssl('req', '-x509', ...newKey, '-subj', '/CN=test authority', '-keyout', 'ca.key', '-out', 'ca.pem')
  const sign = (name: string, subject: string, ...names: readonly string[]): Promise<unknown> =>
    openssl(
      ...['req', '-x509', ...newKey, '-subj', subject, '-CA', 'ca.pem', '-CAkey', 'ca.key'],
      ...['-addext', 'basicConstraints=critical,CA:FALSE', ...names],
      ...['-keyout', `${name}.key`, '-out', `${name}.pem`],
    )
  await sign('server', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1')
  await sign('client', '/CN=client')
  const parts = await Promise.all(['server.key', 'server.pem'].map((name) => readFile(join(folder, name), 'utf8')))
  await writeFile(join(folder, 'server.keystore.pem'), parts.join(''))
}
