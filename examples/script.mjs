// bizon from a Node script.
//
//   node examples/script.mjs

import { checkpoint, extract, load, objectOf, pipeline, textOf, transform } from 'bizon'

// A config is a YAML file's path or the same mapping as an object.
const config = {
  name: 'script',
  source: { name: 'file', stream: 'weather', path: 'examples/data/seattle-weather.csv' },
  destination: { name: 'file', config: { destination_id: 'output/rainy-days', metadata: 'none' } },
}

// Look at pages of records. Leaving the loop closes the file.
for await (const page of extract(config)) {
  console.log(`the first page has ${page.records.length} records; the first one is ${textOf(page.records[0].data)}`)
  break
}

// Run a pipeline. A transform gets the records of a page and returns those to load. A record's data is JSON text
// until someone asks for the object.
const onlyRain = transform((records) => records.filter((record) => objectOf(record.data).weather === 'rain'))

const outcome = await pipeline(extract(config), onlyRain, checkpoint({ everyPages: 10 }), load(config))

console.log(`${outcome.rows} rainy days are in ${outcome.outputs.join(', ')}`)
