// A token endpoint on loopback: it answers what the test says, and keeps the forms that it was sent.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON, text as it is. */
  readonly body: unknown
}

export interface TokenServer {
  readonly url: string
  /** What was sent, one entry a request. */
  readonly forms: Record<string, string>[]
  close(): Promise<void>
}

/** `answer` is asked for each request, with how many there were before. */
export async function tokenServer(answer: (count: number) => Answer | Promise<Answer>): Promise<TokenServer> {
  const forms: Record<string, string>[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const count = forms.push(Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()))) - 1
    const { status = 200, headers = {}, body } = await answer(count)
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/token`,
    forms,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
