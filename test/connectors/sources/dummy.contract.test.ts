import dummy from '../../../connectors/sources/dummy.ts'
import type { Source } from '../../../lib/source.ts'
import { sourceContract } from '../../contract/source.ts'
import { sourceContext } from '../../support/source-context.ts'

const open = (stream: string, keys: object = {}): Source =>
  dummy.create(dummy.config.parse(keys), sourceContext({ stream }))

sourceContract('dummy: creatures', async () => ({
  open: () => open('creatures'),
  ids: ['9898', '88787', '98', '3333', '56565'],
  resumable: true,
  maxPageBytes: 1000,
}))

sourceContract('dummy: generator', async () => ({
  open: () => open('generator', { records: 95, page_size: 10, record_bytes: 100 }),
  ids: Array.from({ length: 95 }, (_, index) => String(index)),
  resumable: true,
  maxPageBytes: 2000,
}))
