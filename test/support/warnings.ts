// Loaded before every test file: a warning of Node's (a listener too many, a timer that overflows, a promise nobody
// waited for) fails the run.

process.on('warning', (warning) => {
  throw warning
})
