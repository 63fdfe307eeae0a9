import { createServer } from 'node:net'

/** Below those from which the system gives a client its own, which could take the port of a server that is being restarted. */
const [FIRST, COUNT] = [20_000, 12_000]

/** The first of some ports in a row that are free at this moment. */
export async function freePort(inRow = 1): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (COUNT - inRow))
    const row = Array.from({ length: inRow }, (_, i) => port + i)
    if ((await Promise.all(row.map(isFree))).every(Boolean)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
