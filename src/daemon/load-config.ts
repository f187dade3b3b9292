import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'smol-toml'
import { Value } from 'typebox/value'
import { CkptdError } from '../model/errors.ts'
import { type Config, ConfigSchema, DEFAULT_CONFIG_FILE } from './config.ts'
import { describeSchemaErrors } from './schema-error.ts'

export type ConfigOrigin = 'default' | 'flag' | `file ${string}` | `environment ${string}`

export interface LoadedConfig {
  readonly config: Config
  readonly origins: Readonly<Record<string, ConfigOrigin>>
}

type Setting = keyof typeof ConfigSchema.properties
const SETTINGS = Object.keys(ConfigSchema.properties) as Setting[]

/**
 * Settings from, in rising order: defaults, the file (`--config`, else /etc/ckptd/config.toml if
 * it is there), the environment (`CKPTD_DATA_DIR`, …), flags. Throws `invalid_config` naming
 * the setting and where it came from.
 */
export function loadConfig(
  flags: Readonly<Record<string, unknown>>,
  environment: Readonly<Record<string, string | undefined>>,
): LoadedConfig {
  const values: Record<string, unknown> = {}
  const origins: Record<string, ConfigOrigin> = {}
  for (const setting of SETTINGS) {
    const schema = ConfigSchema.properties[setting] as { default?: unknown }
    origins[setting] = 'default'
    if (schema.default !== undefined) values[setting] = schema.default
  }
  const set = (setting: string, value: unknown, origin: ConfigOrigin): void => {
    if (!(SETTINGS as string[]).includes(setting))
      throw new CkptdError('invalid_config', `${origin}: there is no setting "${setting}"`)
    values[setting] = value
    origins[setting] = origin
  }
  const { file, contents } = readFile(flags['config'])
  for (const [setting, value] of Object.entries(contents)) set(setting, value, `file ${file}`)
  for (const setting of SETTINGS) {
    const name = `CKPTD_${setting.toUpperCase()}`
    const text = environment[name]
    if (text !== undefined) set(setting, fromText(setting, text), `environment ${name}`)
  }
  for (const [setting, value] of Object.entries(flags))
    if (setting !== 'config' && value !== undefined)
      set(setting, typeof value === 'string' ? fromText(setting, value) : value, 'flag')
  refuseInvalid(values, origins)
  const config = values as unknown as Config
  return {
    config: {
      ...config,
      data_dir: resolve(config.data_dir),
      runtime_dir: resolve(config.runtime_dir),
    },
    origins,
  }
}

function refuseInvalid(
  values: Readonly<Record<string, unknown>>,
  origins: Readonly<Record<string, ConfigOrigin>>,
): void {
  const [first, ...others] = Value.Errors(ConfigSchema, values)
  if (first === undefined) return
  const { path, problem } = describeSchemaErrors([first, ...others])
  const [setting = ''] = path.split('.')
  const { mustBe } = ConfigSchema.properties[setting as Setting] as { mustBe?: string }
  const origin = origins[setting] ?? 'default'
  const subject = origin === 'flag' ? `--${setting.replaceAll('_', '-')}` : `${origin}: ${setting}`
  // Of a list the problem names the item.
  const value = path === setting ? `, and is ${JSON.stringify(values[setting])}` : ''
  throw new CkptdError(
    'invalid_config',
    `${subject} ${mustBe === undefined ? problem : `must be ${mustBe}`}${value}`,
  )
}

function readFile(flag: unknown): { file: string; contents: Record<string, unknown> } {
  const file = typeof flag === 'string' ? flag : DEFAULT_CONFIG_FILE
  if (flag === undefined && !existsSync(file)) return { file, contents: {} }
  try {
    return { file, contents: parse(readFileSync(file, 'utf8')) }
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : ''
    throw new CkptdError('invalid_config', `file ${file}: ${why}`, { cause })
  }
}

/** A setting as text, from the environment or a flag: lists are separated by commas. */
function fromText(setting: string, text: string): unknown {
  const schema = ConfigSchema.properties[setting as Setting] as { type?: string } | undefined
  if (schema?.type === 'array') return text === '' ? [] : text.split(',')
  if (schema?.type === 'integer') return /^\d+$/.test(text) ? Number(text) : text
  return text
}
