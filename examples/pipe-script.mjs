// The two ends of a pipe in a Node script: read what a producer writes, and write what a loader reads.
//
//   npx bizon-extract examples/weather.yml --quiet | node examples/pipe-script.mjs read
//   node examples/pipe-script.mjs write | npx bizon-load examples/pipe.yml --quiet
//   cat output/squares.json

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { objectOf, readSinger, writeSinger } from 'bizon'

/** Counts the days of each weather. A record's data is JSON text until someone asks for the object. */
async function read() {
  const days = {}
  for await (const { records } of readSinger(process.stdin)) {
    for (const { data } of records) {
      const { weather } = objectOf(data)
      days[weather] = (days[weather] ?? 0) + 1
    }
  }
  console.log(days) // the pipe had an end: else the loop would have thrown
}

/** Two pages; `next` says where the next begins, and null that there is none. */
async function* squares() {
  for (let page = 0; page < 2; page++) {
    const records = [1, 2, 3].map((n) => ({
      id: String(page * 3 + n),
      data: { n: page * 3 + n, square: (page * 3 + n) ** 2 },
    }))
    yield { records, next: page === 1 ? null : { page: page + 1 } }
  }
}

async function write() {
  const about = { pipeline: 'squares', source: 'script', stream: { name: 'squares', primaryKey: ['n'] } }
  await pipeline(Readable.from(writeSinger(squares(), about)), process.stdout)
}

await (process.argv[2] === 'write' ? write() : read())
