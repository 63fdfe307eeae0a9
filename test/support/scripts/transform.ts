// Applies a Python script to one record, and to no end of them; first tells the pid of its python3.

import { silentLog } from '../../../lib/log.ts'
import { RawJson, textOf } from '../../../lib/record.ts'
import { openTransforms } from '../../../lib/transforms.ts'

const never = new AbortController().signal
const common = { kind: 'python', onError: 'fail', deadLetterPath: '', timeoutSeconds: 300 } as const
const pid = 'import os\ndata = {"pid": os.getpid()}'
const scripts = [
  { ...common, label: 'pid', script: `if not data.get("at work"):\n${pid.replace(/^/gm, '    ')}` },
  { ...common, label: 'work', script: `if data.get("at work"):\n${`${process.argv[2]}\npass`.replace(/^/gm, '    ')}` },
]
const { steps } = await openTransforms(scripts, { log: silentLog, signal: never })
const apply = async (text: string) => (await steps[0]?.([{ id: '1', data: RawJson.from(text) }], never)) ?? []
const [record] = await apply('{}')
process.stdout.write(`${JSON.parse(textOf(record?.data ?? {})).pid}\n`)
for (;;) {
  await apply('{"at work":true}')
  await new Promise((resolve) => setTimeout(resolve, 10))
}
