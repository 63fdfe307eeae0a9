// Loaded before every test file: a warning of Node's (a listener too many, a timer that overflows, a promise nobody
// waited for) fails the run.

function fail(warning: Error): never {
  throw warning
}

// One process works through many files.
if (!process.listeners('warning').some(({ name }) => name === fail.name)) process.on('warning', fail)
