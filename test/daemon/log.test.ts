import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const CHILD = fileURLToPath(new URL('log-lines.ts', import.meta.url))

function toPipe(format: string): string {
  const { stdout, stderr } = spawnSync(process.execPath, [CHILD, format], { encoding: 'utf8' })
  expect(stdout, 'the log goes to standard error').toBe('')
  return stderr
}

/** script(1) gives it a terminal. */
function toTerminal(format: string): string {
  const command = `${process.execPath} ${CHILD} ${format}`
  const { stdout } = spawnSync('script', ['--quiet', '--command', command, '/dev/null'], {
    encoding: 'utf8',
  })
  return stdout
}

const isJson = (text: string): boolean =>
  text
    .trim()
    .split(/\r?\n/)
    .every((line) => line.startsWith('{"level":40,') && JSON.parse(line))

it('the log is for people on a terminal and JSON elsewhere, unless told otherwise', () => {
  expect(isJson(toPipe('auto'))).toBe(true)
  expect(isJson(toPipe('json'))).toBe(true)
  expect(isJson(toTerminal('json'))).toBe(true)
  for (const text of [toTerminal('auto'), toTerminal('human'), toPipe('human')]) {
    expect(text).toMatch(/^\S*\[?\d\d:\d\d:\d\d\.\d{3}.*WARN.*something of note/m)
    expect(text).not.toContain('{"level"')
  }
})

it.each(['json', 'human'])('as %s it holds no secret, and nothing below its level', (format) => {
  const text = toPipe(format)
  expect(text).toContain('something of note')
  expect(text).toContain('train')
  expect(text).toContain('example')
  expect(text).not.toContain('hidden')
  expect(text.match(/\[redacted\]/g)).toHaveLength(4)
  expect(text).not.toContain('below the level')
})
