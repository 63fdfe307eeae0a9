// argv: store config and identity as JSON, how many checkpoints. Says `ready`, and after a line on stdin runs a job
// with that many, as fast as it can; says `done`, or the error's code and message.

import { once } from 'node:events'
import { stores } from '../../../connectors/index.ts'
import { BizonError, messageOf } from '../../../lib/errors.ts'
import type { Identity, StoreConfig } from '../../../lib/state.ts'

const [config, identity, pages] = process.argv.slice(2).map((text) => JSON.parse(text)) as [
  StoreConfig,
  Identity,
  number,
]
const { default: definition } = await stores[config.type as keyof typeof stores]()
const store = definition.create(config)
try {
  await store.open()
  process.stdout.write('ready\n')
  await once(process.stdin, 'data')
  const lease = await store.acquire(identity, `pid ${process.pid}`)
  const job = await store.begin(lease, {
    identity,
    mode: 'incremental',
    complete: true,
    cancel: [],
    consume: [],
    bindReset: true,
  })
  for (let page = 1; page <= pages; page++) {
    await store.saveCheckpoint(lease, job, { run: job.id, page, rows: page, position: { page }, end: false }, 'file')
  }
  await store.finish(lease, job, { status: 'failed', error: 'that is enough' })
  await lease.release()
  process.stdout.write('done\n')
} catch (error) {
  process.stdout.write(`${error instanceof BizonError ? error.code : 'not a BizonError'} ${messageOf(error)}\n`)
} finally {
  await store.close()
  process.stdin.destroy()
}
