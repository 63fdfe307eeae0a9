// bizon-load --from-queue: from the broker of engine.queue into the destination, until a run is published.

import type { RawJson } from '../../lib/record.ts'
import { summary } from '../progress.ts'
import type { Signals } from '../signals.ts'
import type { Terminal } from '../terminal.ts'
import { type Begin, type HalfEnd, runHalf } from './half.ts'
import type { LoadOptions } from './load.ts'

export function loadFromQueue(filename: string, options: LoadOptions, terminal: Terminal): Promise<number> {
  const { stream, skipBroken = false, logLevel, customDestination, envFile, quiet, scratch } = options
  const work = async (signals: Signals, begin: Begin): Promise<HalfEnd> => {
    const { loadConfig } = await import('../../lib/config.ts')
    const { channelOf } = await import('../../lib/pipe/queue/channel.ts')
    const { loadQueue } = await import('../../lib/pipe/queue/load.ts')
    const { NewestLine } = await import('../../lib/pipe/newest.ts')
    const { DescriptorOut } = await import('../../lib/pipe/out.ts')
    const config = await loadConfig(filename, ['destination'], { logLevel, customDestination, envFile, scratch })
    const { progress, watch } = begin(config)
    const states = new NewestLine(new DescriptorOut(1))
    const { definition, options: keys } = config.destination
    // Nobody reads them from a terminal.
    const isSilent = (definition.prints?.(keys) ?? false) || process.stdout.isTTY
    const outcome = await loadQueue(channelOf(config, '--from-queue', watch.log, stream), config, {
      ...watch,
      streamName: stream,
      skipBroken,
      acknowledged: async (value: RawJson) => (isSilent ? undefined : states.say(value.toString())),
    })
    progress?.close()
    await states.settled(signals.abort)
    const isComplete = outcome.status === 'complete'
    if (!quiet) {
      terminal.note(
        isComplete ? 'Loaded and published.' : 'Stopped; what came is kept, and the next load goes on with it.',
      )
      for (const line of summary(outcome)) terminal.note(line)
    }
    const { outputs } = outcome
    return isComplete
      ? { exitCode: 0, outcome: 'succeeded', outputs }
      : { exitCode: signals.exitCode() ?? 1, outcome: 'stopped', outputs }
  }
  return runHalf(terminal, 'load', options, work)
}
