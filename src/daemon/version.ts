import { readFileSync } from 'node:fs'

/** Of this build: package.json stands two folders up, from src/ and from dist/ alike. */
export const version = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
).version
