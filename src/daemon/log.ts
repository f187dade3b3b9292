import { pino } from 'pino'
import pretty from 'pino-pretty'
import type { Config } from './config.ts'

export type Log = ReturnType<typeof createLog>

/** Fields that could carry a secret never reach a log, whoever put them into a message. */
const REDACTED = ['secret', 'password', 'authorization', 'token', 'key', 'sealed_source'].flatMap(
  (name) => [name, `*.${name}`],
)

export function createLog(config: Pick<Config, 'log_level' | 'log_format'>, name: string) {
  const human =
    config.log_format === 'human' || (config.log_format === 'auto' && process.stderr.isTTY)
  const options = {
    name,
    level: config.log_level,
    redact: { paths: REDACTED, censor: '[redacted]' },
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
  }
  return human
    ? pino(
        options,
        pretty({ destination: 2, sync: true, ignore: 'pid', translateTime: 'HH:MM:ss.l' }),
      )
    : pino(options, pino.destination({ dest: 2, sync: true }))
}
