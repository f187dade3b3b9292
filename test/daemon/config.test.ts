import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { makeScratch } from '../support/scratch.ts'

const ENTRY = fileURLToPath(new URL('../../src/daemon/ckptd.ts', import.meta.url))

interface Shown {
  readonly setting: string
  readonly value: unknown
  readonly origin: string
}

function ckptd(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('CKPTD_'))
  return spawnSync(process.execPath, [ENTRY, ...args], {
    encoding: 'utf8',
    env: { ...Object.fromEntries(own), ...environment },
  })
}

/** `ckptd config --json`: the setting's value in force, and where it is from. */
function inForce(
  setting: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Pick<Shown, 'value' | 'origin'> {
  const { status, stdout, stderr } = ckptd(['config', '--json', ...args], environment)
  expect(status, stderr).toBe(0)
  const shown = (JSON.parse(stdout) as Shown[]).find((row) => row.setting === setting)
  return { value: shown?.value, origin: shown?.origin ?? '' }
}

describe('a setting', () => {
  it('is taken from the flag, else the environment, else the file, else the default', async () => {
    await using scratch = makeScratch('config')
    const file = scratch.join('config.toml')
    writeFileSync(file, 'keep_output_hours = 1\n')
    const environment = { CKPTD_KEEP_OUTPUT_HOURS: '2' }
    const steps = [
      [['--config', file, '--keep-output-hours', '3'], environment, 3, 'flag'],
      [['--config', file], environment, 2, 'environment CKPTD_KEEP_OUTPUT_HOURS'],
      [['--config', file], {}, 1, `file ${file}`],
      [[], {}, 168, 'default'],
    ] as const
    for (const [args, variables, value, origin] of steps)
      expect(inForce('keep_output_hours', args, variables)).toEqual({ value, origin })
  })

  it('that is a list is read from each of them', async () => {
    await using scratch = makeScratch('config')
    const file = scratch.join('config.toml')
    writeFileSync(file, 'allow_network = ["10.0.0.0/8", "fd00::/8"]\n')
    expect(inForce('allow_network', ['--config', file]).value).toEqual(['10.0.0.0/8', 'fd00::/8'])
    const environment = { CKPTD_ALLOW_NETWORK: '10.1.0.0/16,10.2.0.0/16' }
    expect(inForce('allow_network', ['--config', file], environment).value).toEqual([
      '10.1.0.0/16',
      '10.2.0.0/16',
    ])
    const flags = ['--allow-network', '10.3.0.0/16', '--allow-network', '10.4.0.0/16']
    expect(inForce('allow_network', [...flags, '--config', file], environment).value).toEqual([
      '10.3.0.0/16',
      '10.4.0.0/16',
    ])
    expect(inForce('allow_network', ['--config', file], { CKPTD_ALLOW_NETWORK: '' })).toEqual({
      value: [],
      origin: 'environment CKPTD_ALLOW_NETWORK',
    })
  })

  it('is printed for people with its value, where it is from, and what it is', () => {
    const { stdout } = ckptd(['config', '--sharing', 'project'], { CKPTD_LOG_LEVEL: 'debug' })
    expect(stdout).toMatch(/^sharing = "project"\n {4}flag; who shares /m)
    expect(stdout).toMatch(/^log_level = "debug"\n {4}environment CKPTD_LOG_LEVEL; the least /m)
    expect(stdout).toMatch(/^data_dir = "\/var\/lib\/ckptd"\n {4}default; the store$/m)
    expect(stdout).toMatch(/^min_free_bytes = null\n {4}default; never given /m)
  })
})

describe('a bad setting', () => {
  it.each([
    ['a number that is none', 'keep_output_hours = "long"', 'keep_output_hours must be integer'],
    ['a negative number', 'min_free_bytes = -1', 'min_free_bytes must be >= 0'],
    ['a mode that is none', 'socket_mode = "0999"', 'socket_mode must be three octal digits'],
    [
      'a word that is none of the choice',
      'sharing = "all"',
      'sharing must be one of "host", "project"',
    ],
    ['a list of something else', 'allow_network = [10]', 'allow_network must be string'],
    ['no setting', 'no_setting = 1', 'there is no setting "no_setting"'],
    ['no TOML', 'sharing = ', 'Invalid TOML'],
  ])('of the file (%s) is refused with the file’s name', async (_, text, message) => {
    await using scratch = makeScratch('config')
    const file = scratch.join('config.toml')
    writeFileSync(file, `${text}\n`)
    const { status, stderr, stdout } = ckptd(['config', '--config', file])
    expect(stderr).toContain(`ckptd: file ${file}: ${message}`)
    expect(stderr).toContain('Correct the setting')
    expect({ status, stdout }).toEqual({ status: 78, stdout: '' })
  })

  it.each(['config', 'serve', 'daemon', 'mountd', 'recover'])(
    'keeps ckptd %s from doing anything',
    async (command) => {
      await using scratch = makeScratch('config')
      const { status, stderr } = ckptd(
        [command, '--data-dir', scratch.join('data'), '--runtime-dir', scratch.join('run')],
        { CKPTD_KEEP_OUTPUT_HOURS: 'long' },
      )
      expect(stderr).toContain(
        'ckptd: environment CKPTD_KEEP_OUTPUT_HOURS: keep_output_hours must be integer',
      )
      expect(status).toBe(78)
      expect(readdirSync(scratch.path)).toEqual([])
    },
  )

  it('of a flag is refused, and so are a flag and a file that are not there', async () => {
    await using scratch = makeScratch('config')
    const flag = ckptd(['config', '--socket-mode', 'rw'])
    expect(flag.stderr).toContain('ckptd: --socket-mode must be three octal digits')
    expect(flag.status).toBe(78)
    const unknown = ckptd(['config', '--no-such-flag'])
    expect(unknown.stderr).toContain("unknown option '--no-such-flag'")
    expect(unknown.status).toBe(64)
    const absent = ckptd(['config', '--config', scratch.join('absent.toml')])
    expect(absent.stderr).toContain(`ckptd: file ${scratch.join('absent.toml')}: ENOENT`)
    expect(absent.status).toBe(78)
  })

  it.each([
    ['root', 'the daemon must not run as user 0'],
    ['0', 'the daemon must not run as user 0'],
    ['nobody', 'the daemon must not run as user 65534'],
    ['no-such-user', 'no-such-user'],
  ])('(user "%s") starts nothing', async (user, message) => {
    await using scratch = makeScratch('config')
    const places = ['--data-dir', scratch.join('data'), '--runtime-dir', scratch.join('run')]
    const { status, stderr } = ckptd(['serve', '--user', user, ...places])
    expect(stderr).toContain(message)
    expect(status).toBe(78)
    expect(readdirSync(scratch.path)).toEqual([])
  })
})
