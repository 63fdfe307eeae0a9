// An API on loopback, in a process of its own: the lines of an NDJSON file as pages of 500 records.
//   node api.mjs FILE LATENCY_MS      prints its port
//   node api.mjs read PORT FILE       what one would write by hand: page after page, parsed, printed to the file

import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PAGE_RECORDS } from './generate.ts'

if (process.argv[2] === 'read') await readByHand(Number(process.argv[3]), String(process.argv[4]))
else if (process.argv[2] !== undefined) await serve(process.argv[2], Number(process.argv[3]))

async function serve(path: string, latency: number): Promise<void> {
  const data = await readFile(path)
  const pages: Buffer[] = []
  let [start, records] = [0, 0]
  for (let at = data.indexOf('\n'); at >= 0; at = data.indexOf('\n', at + 1)) {
    data[at] = 0x2c
    if (++records % PAGE_RECORDS > 0 && at + 1 < data.length) continue
    pages.push(data.subarray(start, at))
    start = at + 1
  }
  const server = createServer((request, response) => {
    const page = Number(new URL(request.url ?? '', 'http://x').searchParams.get('page') ?? 1)
    const next = page < pages.length ? String(page + 1) : 'null'
    const [head, body, tail] = ['{"items":[', pages[page - 1] ?? '', `],"next":${next}}`]
    const length = head.length + body.length + tail.length
    const send = (): void => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': length })
      response.write(head)
      response.write(body)
      response.end(tail)
    }
    if (latency > 0) setTimeout(send, latency)
    else send()
  })
  server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
}

async function readByHand(port: number, path: string): Promise<void> {
  const out = createWriteStream(path)
  for (let page: number | null = 1; page !== null; ) {
    const response = await fetch(`http://127.0.0.1:${port}/items?page=${page}`)
    const { items, next } = (await response.json()) as { items: unknown[]; next: number | null }
    const text = `${items.map((item) => JSON.stringify(item)).join('\n')}\n`
    if (!out.write(text)) await new Promise<void>((drained) => out.once('drain', drained))
    page = next
  }
  out.end()
}
