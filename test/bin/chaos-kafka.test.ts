// bizon chaos on a pipeline to Kafka: in topics of its own, which are gone afterwards.

import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lines, pipelineFile } from '../crash/scenario.ts'
import { buildTwin } from '../crash/twin.ts'
import { BIZON, NIGHTLY, TEST_LIMIT_MS, Workspace } from '../crash/workspace.ts'
import { freshTopic } from '../support/kafka.ts'
import { withClient } from '../support/kafka-client.ts'
import { keysIn } from '../support/kafka-destination.ts'
import { sharedKafka } from '../support/services/kafka.ts'

/** By day the first commit that has messages; by night others, also with connections cut. */
const kills = NIGHTLY
  ? ['--kills', '5', '--seed', '5', '--with', 'connections']
  : ['--kills', '1', '--only', 'commit.mid@2', '--with', 'none']

test(
  'nothing is lost, the real topics stay as they were; a program that commits its state by itself is found',
  async () => {
    const topic = await freshTopic()
    const { plain } = await sharedKafka()
    const config = pipelineFile({ mode: 'incremental' }).replace(
      /^destination:\n(.*\n)*?(?=engine:)/m,
      `destination:\n  name: kafka\n  config:\n    destination_id: ${topic}\n    state_topic: ${topic}.state\n    bootstrap_servers: ${plain}\n    buffer_size: 0\n`,
    )
    const scratch = await mkdtemp(join(tmpdir(), 'bizon-scratch-'))
    const place = await Workspace.create({ 'pipeline.yml': config, 'source.ndjson': lines(0, 20) })
    const twin = await buildTwin('chaos-kafka', [
      {
        file: 'connectors/destinations/kafka.ts',
        find: "    this.#before('state')\n",
        replace: "    this.#before('state')\n    await producer.commit()\n    await producer.begin()\n",
      },
    ])
    const chaos = (program: string) =>
      place.execute([process.execPath, program, 'chaos', 'pipeline.yml', ...kills], { TMPDIR: scratch })
    try {
      const { code, stdout, stderr } = await chaos(BIZON)
      expect({ code, stdout, stderr }).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^durable operations \d+ · killed at .* · lost 0 · doubled 0 · changed 0\n/),
      })
      // One row is not divided, so that only a first run is tried.
      await place.write({ 'source.ndjson': lines(0, NIGHTLY ? 20 : 1) })
      const { code: badCode, stdout: bad } = await chaos(twin.program)
      expect({ badCode, bad }).toMatchObject({ badCode: 1, bad: expect.stringMatching(/ doubled [1-9]/) })
      await withClient(async (client) => {
        expect(await keysIn(client, topic)).toEqual([])
        const topics = await client.topics()
        expect(topics.filter((name) => name.startsWith('bizon_chaos_') || name === `${topic}.state`)).toEqual([])
      })
      expect(await readdir(scratch)).toEqual([])
    } finally {
      await twin.remove()
      await place.remove()
      await rm(scratch, { recursive: true, force: true })
    }
  },
  TEST_LIMIT_MS,
)
