// A run that writes where it reads would destroy its input, or feed on itself.

import { relative, resolve } from 'node:path'
import type { PipelineConfig } from './config.ts'
import type { Destination } from './destination.ts'
import { BizonError } from './errors.ts'
import type { OpenSource } from './extract.ts'

/** Rejects a config whose source reads what is written by its destination, or by a transform. */
export function checkApart(
  { path, transforms }: Pick<PipelineConfig, 'path' | 'transforms'>,
  source: Pick<OpenSource, 'reads'>,
  destination: Pick<Destination, 'occupies'>,
): void {
  const written = destination
    .occupies?.()
    .map((place) => ({ path: place, by: 'the destination', key: 'destination_id' }))
  const letters = transforms
    .filter(({ onError }) => onError === 'dead_letter')
    .map(({ label, deadLetterPath }) => ({ path: deadLetterPath, by: `transform ${label}`, key: 'dead_letter_path' }))
  const both = [...(written ?? []), ...letters].find((each) => source.reads(resolve(each.path)))
  if (both === undefined) return
  throw new BizonError('config', `${path}: ${both.by} writes ${relative('', both.path)}, which the source reads`, {
    hint: `Choose another ${both.key}, or a path that leaves it out.`,
  })
}
