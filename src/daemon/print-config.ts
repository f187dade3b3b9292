import { type Config, ConfigSchema } from './config.ts'
import type { LoadedConfig } from './load-config.ts'

/** `ckptd config`: every setting, its value in force, where that comes from, what it is. */
export function printConfig({ config, origins }: LoadedConfig, json: boolean): void {
  const rows = Object.entries(ConfigSchema.properties).map(([setting, schema]) => ({
    setting,
    value: config[setting as keyof Config] ?? null,
    origin: origins[setting] ?? 'default',
    description: (schema as { description?: string }).description ?? '',
  }))
  if (json) {
    process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`)
    return
  }
  for (const { setting, value, origin, description } of rows)
    process.stdout.write(`${setting} = ${JSON.stringify(value)}\n    ${origin}; ${description}\n`)
}
