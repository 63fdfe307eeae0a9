// What the engine tells a source, for tests that make one without an engine.

import { createHttp } from '../../lib/http.ts'
import { silentLog } from '../../lib/log.ts'
import type { SourceContext } from '../../lib/source.ts'

export function sourceContext(given: Partial<SourceContext> = {}): SourceContext {
  return { pipeline: 'p', stream: 's', mode: 'full_refresh', log: silentLog, http: createHttp(), ...given }
}
