export function notBundled(): string[]
