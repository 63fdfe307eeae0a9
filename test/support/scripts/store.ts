// argv: store config and identity as JSON. Opens the store and takes the lease, says `held <epoch>` or the error's
// code and message, and keeps it until a line on stdin tells to let go.

import { once } from 'node:events'
import { stores } from '../../../connectors/index.ts'
import { BizonError, messageOf } from '../../../lib/errors.ts'
import type { Identity, StoreConfig } from '../../../lib/state.ts'

const [config, identity] = process.argv.slice(2).map((text) => JSON.parse(text)) as [StoreConfig, Identity]
const { default: definition } = await stores[config.type as keyof typeof stores]()
const store = definition.create(config)
try {
  await store.open()
  const lease = await store.acquire(identity, `pid ${process.pid}`)
  process.stdout.write(`held ${lease.epoch}\n`)
  await once(process.stdin, 'data')
  await lease.release()
} catch (error) {
  process.stdout.write(`${error instanceof BizonError ? error.code : 'not a BizonError'} ${messageOf(error)}\n`)
} finally {
  await store.close()
  process.stdin.destroy()
}
