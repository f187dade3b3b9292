import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { ConfigSchema } from '../../src/daemon/config.ts'

it('docs/operations.md has every setting with its default', () => {
  const text = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  for (const [setting, schema] of Object.entries(ConfigSchema.properties)) {
    const { default: value, description } = schema as { default?: unknown; description?: string }
    const shown = value === undefined ? '' : `\`${JSON.stringify(value)}\``
    expect(text).toContain(`| \`${setting}\` | ${shown} | ${description} |`)
  }
})
