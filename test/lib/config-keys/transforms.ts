// Cases of the keys of `transforms`: section 6 of the specification, one group for each kind of script.

import { SCRIPT_KINDS, type ScriptKind, transformsSchema } from '../../../lib/transform/config.ts'
import type { KeyCase, KeyGroup } from '../../support/key-cases.ts'

const SCRIPTS: Readonly<Record<ScriptKind, KeyCase>> = {
  python: ["data['n'] = 1", 5, 'expected a string, got 5; write it in quotes'],
  javascript: ['data.n = 1', [], 'expected a string, got a list'],
  module: ['./tag.mjs', '', 'must not be empty'],
}

const everyKind: Readonly<Record<string, KeyCase>> = {
  '[].label': ['tag', 5, 'expected a string, got 5; write it in quotes'],
  '[].on_error': [
    'dead_letter',
    'dead-letter',
    'expected one of fail, skip, dead_letter, got "dead-letter"; did you mean "dead_letter"?',
  ],
  '[].dead_letter_path': ['out/dead.ndjson', '', 'must not be empty'],
  '[].timeout': ['2', 0, 'expected a number above 0, at most 2000000, got 0'],
}

export const transforms: readonly KeyGroup[] = SCRIPT_KINDS.map((kind) => ({
  title: `transforms, ${kind}`,
  base: {
    name: 'tiny',
    source: { name: 'dummy', stream: 'plants' },
    destination: { name: 'logger', config: {} },
    transforms: [{ label: 'tag', [kind]: SCRIPTS[kind][0] }],
  },
  at: 'transforms',
  schema: transformsSchema,
  elsewhere: SCRIPT_KINDS.filter((other) => other !== kind).map((other) => `[].${other}`),
  keys: { ...everyKind, [`[].${kind}`]: SCRIPTS[kind] },
}))
