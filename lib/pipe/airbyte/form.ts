// What our producer writes as an Airbyte source: lib/pipe/forms.ts says when each part is asked for.

import type { StreamInfo } from '../../source.ts'
import type { PipeForm } from '../forms.ts'
import { type PipeState, writeExtra, writeState } from '../state.ts'
import { statusTrace } from './print.ts'

/**
 * The first line is a STATE that says where the pipe begins. `data` stands last in a record, so that what comes before
 * its bytes is the same for a whole page; our extras stand before it.
 */
export function airbyteForm({ name }: StreamInfo): PipeForm {
  const stream = JSON.stringify(name)
  let running = false
  const state = (value: PipeState, records: number): string =>
    `{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":${stream}},"stream_state":${writeState(value)}},"sourceStats":{"recordCount":${records}.0}}}\n`
  return {
    open: statusTrace(name, 'STARTED'),
    page: (extractedAt) => {
      const head = `{"type":"RECORD","record":{"stream":${stream},"emitted_at":${extractedAt.getTime()},"bizon":`
      return (record, n) => {
        const first = running ? '' : statusTrace(name, 'RUNNING')
        running = true
        return `${first}${head}${writeExtra(record, n)},"data":`
      }
    },
    after: '}}\n',
    state,
    close: (end) => statusTrace(name, end === 'complete' ? 'COMPLETE' : 'INCOMPLETE'),
  }
}
