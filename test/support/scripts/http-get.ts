// Asks for a URL, closes the client, and has nothing left to do: the process must then end by itself.
// Arguments: URL, largest answer in MiB. Prints what came, the seconds it lived after that, and its peak memory in MiB.

import { createHttp } from '../../../lib/http.ts'

const [url = '', size] = process.argv.slice(2)
const http = createHttp()
const client = http({ api: { max_response_size: Number(size) } })
const answer = await client.request({ url }, new AbortController().signal).then(
  ({ body }) => `${body.length} bytes`,
  (error: Error) => error.message,
)
await http.close()
const closedAt = performance.now()
process.on('exit', () => {
  const lived = (performance.now() - closedAt) / 1000
  const peak = process.resourceUsage().maxRSS / 1024
  process.stdout.write(`${JSON.stringify({ answer, lived, peak })}\n`)
})
