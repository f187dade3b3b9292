import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/daemon/load-config.ts'

function refusal(flags: Record<string, unknown>, environment: Record<string, string> = {}): string {
  try {
    loadConfig(flags, environment)
  } catch (error) {
    return (error as Error).message
  }
  return 'accepted'
}

describe('a setting that is refused', () => {
  it('is named as it was given, with everything it may be', () => {
    expect(refusal({ log_level: 'loud' })).toBe(
      '--log-level must be one of "trace", "debug", "info", "warn", "error", and is "loud"',
    )
    expect(refusal({}, { CKPTD_SHARING: 'all' })).toBe(
      'environment CKPTD_SHARING: sharing must be one of "host", "project", and is "all"',
    )
    expect(refusal({ keep_output_hours: 'x' })).toBe(
      '--keep-output-hours must be integer, and is "x"',
    )
    expect(refusal({ env_prefix: 'a b' })).toContain('--env-prefix must be of capital letters')
  })

  it.each(['relative', '/', '/a/', '/a//b', '/a/../b', '/.', '/a b', '/a,b', '/a:b', '/a\nb'])(
    'is the prefix in containers where it is %j',
    (prefix) => {
      expect(refusal({ container_prefix: prefix })).toContain('--container-prefix must be an abs')
    },
  )

  it.each(['/opt/trainml', '/x', '/a.b/..c', '/mnt/größe'])('is not the prefix %j', (prefix) => {
    expect(refusal({ container_prefix: prefix })).toBe('accepted')
  })
})
