import { describe, expect, test } from 'vitest'
import { load, pipeline, problemsOf } from '../../support/yaml-config.ts'

/** The pipeline with this list from line 9 on. */
const withTransforms = (...entries: readonly string[]): string =>
  pipeline({ rest: `transforms:\n${entries.map((entry) => `  - ${entry}\n`).join('')}` })

const defaults = { onError: 'fail', deadLetterPath: 'tiny.dead_letter.ndjson', timeoutSeconds: 30 }

describe('transforms are accepted', () => {
  test.each<[string, string, object[]]>([
    ['none', pipeline(), []],
    ['null', pipeline({ rest: 'transforms:\n' }), []],
    ['an empty list', pipeline({ rest: 'transforms: []\n' }), []],
    [
      'python, as the Python bizon has it',
      pipeline({ rest: "transforms:\n  - label: tidy\n    python: |\n      import json\n      data['n'] = 1\n" }),
      [{ label: 'tidy', kind: 'python', script: "import json\ndata['n'] = 1\n", ...defaults }],
    ],
    [
      'javascript and module, in order',
      withTransforms('{label: a, javascript: "data.n = 1"}', '{label: b, module: ./b.mjs}'),
      [
        { label: 'a', kind: 'javascript', script: 'data.n = 1' },
        { label: 'b', kind: 'module', script: './b.mjs' },
      ],
    ],
    [
      'scripts with what is a reference elsewhere',
      withTransforms('{label: a, python: "env://HOME"}', "{label: b, javascript: 'data.n = `${data.m}`'}"),
      [{ script: 'env://HOME' }, { script: 'data.n = `${data.m}`' }],
    ],
    [
      'every other key',
      withTransforms('{label: a, python: "", on_error: dead_letter, dead_letter_path: bad.ndjson, timeout: "0.5"}'),
      [{ script: '', onError: 'dead_letter', deadLetterPath: 'bad.ndjson', timeoutSeconds: 0.5 }],
    ],
    ['null for what has a default', withTransforms('{label: a, python: x, on_error: , timeout: null}'), [defaults]],
    ['the other kinds as null', withTransforms('{label: a, python: x, javascript: null}'), [{ kind: 'python' }]],
  ])('%s', async (_title, yaml, expected) => {
    const { transforms } = await load(yaml)
    expect(transforms).toHaveLength(expected.length)
    expect(transforms).toMatchObject(expected)
  })
})

describe('transforms are checked', () => {
  const kinds = 'python, javascript, module'
  test.each<[string, string, string[]]>([
    ['no list', pipeline({ rest: 'transforms: x\n' }), ['config.yml:8:13 transforms: expected a list, got "x"']],
    ['no script', withTransforms('{label: a}'), [`config.yml:9:5 transforms[0]: needs one of ${kinds}`]],
    [
      'two scripts',
      withTransforms('{label: a, python: x, javascript: y}'),
      ['config.yml:9:27 transforms[0].javascript: there is python already; a step has one script'],
    ],
    ['no label', withTransforms('{python: x}'), ['config.yml:9:5 transforms[0].label: is required']],
    [
      'label empty',
      withTransforms('{label: "", python: x}'),
      ['config.yml:9:13 transforms[0].label: must not be empty'],
    ],
    [
      'label a number',
      withTransforms('{label: 1, python: x}'),
      ['config.yml:9:13 transforms[0].label: expected a string, got 1; write it in quotes'],
    ],
    [
      'python a list',
      withTransforms('{label: a, python: [x]}'),
      ['config.yml:9:24 transforms[0].python: expected a string, got a list'],
    ],
    [
      'module empty',
      withTransforms('{label: a, module: ""}'),
      ['config.yml:9:24 transforms[0].module: must not be empty'],
    ],
    [
      'an unknown key',
      withTransforms('{label: a, pyhton: x}'),
      [
        `config.yml:9:5 transforms[0]: needs one of ${kinds}`,
        'config.yml:9:16 transforms[0].pyhton: unknown key; did you mean "python"?',
      ],
    ],
    [
      'on_error',
      withTransforms('{label: a, python: x, on_error: skipp}'),
      [
        'config.yml:9:37 transforms[0].on_error: expected one of fail, skip, dead_letter, got "skipp"; did you mean "skip"?',
      ],
    ],
    [
      'dead_letter_path empty',
      withTransforms('{label: a, python: x, dead_letter_path: ""}'),
      ['config.yml:9:45 transforms[0].dead_letter_path: must not be empty'],
    ],
    [
      'timeout of nothing',
      withTransforms('{label: a, python: x, timeout: 0}'),
      ['config.yml:9:36 transforms[0].timeout: expected a number above 0, at most 2000000, got 0'],
    ],
  ])('%s', async (_title, yaml, expected) => {
    expect(await problemsOf(yaml)).toEqual(expected)
  })
})
