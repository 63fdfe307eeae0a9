// What our producer writes as an Airbyte source: lib/pipe/forms.ts says when each part is asked for.

import type { StreamInfo } from '../../source.ts'
import { type PipeForm, recordHead } from '../forms.ts'
import { type PipeState, writeState } from '../state.ts'
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
    turn: '',
    idle: statusTrace(name, 'RUNNING'),
    page: (extractedAt) => {
      const before = `{"type":"RECORD","record":{"stream":${stream},"emitted_at":${extractedAt.getTime()},"bizon":`
      const head = recordHead(before, ',"data":')
      return (out, record, n) => {
        if (running) return head(out, record, n)
        running = true
        const told = out.text(statusTrace(name, 'RUNNING'))
        return told ? told.then(() => head(out, record, n)) : head(out, record, n)
      }
    },
    after: '}}\n',
    state,
    close: (end) => statusTrace(name, end === 'complete' ? 'COMPLETE' : 'INCOMPLETE'),
  }
}
