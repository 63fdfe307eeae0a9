// The JSON check alone: what it costs to know that every line of a file is valid JSON, by our scanner over the
// bytes and by JSON.parse. Started by the bench as a process of its own:  check.mjs scan|parse FILE

import { isUtf8 } from 'node:buffer'
import { open } from 'node:fs/promises'
import { scanValue } from '../../lib/json.ts'

const BLOCK = 1 << 20
const LINE_END = 0x0a

type Check = (block: Buffer, start: number, end: number) => boolean

const checks: Record<string, Check> = {
  scan: (block, start, end) => scanValue(block, start, end) === end,
  parse: (block, start, end) => JSON.parse(block.toString('utf8', start, end)) !== undefined,
}

const [how = '', path = ''] = process.argv.slice(2)
const check = checks[how]
if (check === undefined) throw new Error(`${how} is neither scan nor parse`)

const file = await open(path)
const block = Buffer.allocUnsafe(BLOCK)
let carried = 0
for (;;) {
  const { bytesRead } = await file.read(block, carried, BLOCK - carried, null)
  if (bytesRead === 0) break
  const end = carried + bytesRead
  const whole = block.lastIndexOf(LINE_END, end - 1) + 1
  if (!isUtf8(block.subarray(0, whole))) throw new Error('not UTF-8')
  for (let start = 0; start < whole; ) {
    const lineEnd = block.indexOf(LINE_END, start)
    if (!check(block, start, lineEnd)) throw new Error(`invalid JSON: ${block.toString('utf8', start, lineEnd)}`)
    start = lineEnd + 1
  }
  block.copy(block, 0, whole, end)
  carried = end - whole
}
await file.close()
