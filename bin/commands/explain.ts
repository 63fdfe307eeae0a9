// bizon run --explain: what a run would do, step by step.

import type { PipelineConfig } from '../../lib/config.ts'
import type { Terminal } from '../terminal.ts'

export async function explain(filename: string, config: PipelineConfig, terminal: Terminal): Promise<void> {
  const { planOf, textsWay } = await import('../../lib/plan.ts')
  const plan = planOf(config)
  terminal.print(`Pipeline ${config.name}, from ${filename}; nothing is run.`)
  for (const [at, { kind, does, parses }] of plan.entries()) {
    terminal.print(`${at + 1}. ${kind.padEnd(11)}  ${does}`)
    if (parses === undefined) continue
    terminal.print(`${' '.repeat(16)}${kind === 'source' ? 'gives objects' : 'parses records'}: ${parses}`)
  }
  terminal.print(textsWay(plan))
}
