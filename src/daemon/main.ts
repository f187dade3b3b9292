import { Command, CommanderError, Option } from 'commander'
import { CkptdError } from '../model/errors.ts'
import { runMountd } from '../mount/mountd.ts'
import { fileError } from '../os/errno.ts'
import { errnoName } from '../os/linux.ts'
import { type Config, ConfigSchema } from './config.ts'
import { runDaemon } from './daemon.ts'
import { daemonUser } from './daemon-user.ts'
import { EXIT, exitStatusOf } from './exit-status.ts'
import { type LoadedConfig, loadConfig } from './load-config.ts'
import { createLog } from './log.ts'
import { passedSocket, serviceManager } from './notify.ts'
import { printConfig } from './print-config.ts'
import { printRecovery } from './print-recovery.ts'
import { runSupervisor } from './supervisor.ts'
import { onSupervisorGone } from './supervisor-pipe.ts'
import { version } from './version.ts'

/** The program `ckptd`; returns its exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  const controller = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(name, () => controller.abort())
  onSupervisorGone(process.env, () => controller.abort())
  // Writers that wait for a read lease of a capture cause this signal; ignored, it ends nothing.
  process.on('SIGIO', () => undefined)
  const { signal } = controller
  let status: number = EXIT.ok
  const program = new Command('ckptd')
    .description('keeps model checkpoints on this host and mounts them read-only into jobs')
    .version(version)
    .exitOverride()
  const command = (
    name: string,
    description: string,
    run: (loaded: LoadedConfig, flags: Record<string, unknown>) => Promise<number | void>,
  ): Command => {
    const made = program.command(name).description(description)
    addConfigFlags(made)
    made.action(async (flags: Record<string, unknown>) => {
      const { dryRun, json, ...settings } = flags
      status =
        (await run(loadConfig(toSettings(settings), process.env), { dryRun, json })) ?? status
    })
    return made
  }

  command(
    'serve',
    'run the daemon, and as root its mount helper, in the foreground',
    ({ config }) =>
      process.getuid?.() === 0
        ? runSupervisor(config, argv.slice(1), signal)
        : runDaemon(config, signal),
  )
  command('daemon', 'run the unprivileged daemon alone', ({ config }) => runDaemon(config, signal))
  command('mountd', 'run the mount helper alone (root)', ({ config }) => mountd(config, signal))
  command('config', 'print the settings in force and where each comes from', (loaded, { json }) => {
    printConfig(loaded, json === true)
    return Promise.resolve()
  }).option('--json', 'machine-readable')
  command(
    'recover',
    'bring a store that a killed daemon left into order',
    ({ config }, { dryRun, json }) =>
      printRecovery(config, { dryRun: dryRun === true, json: json === true }),
  )
    .option('--dry-run', 'print what would be done and change nothing')
    .option('--json', 'machine-readable')
  try {
    await program.parseAsync(argv, { from: 'user' })
    return status
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    const known = sentenceOf(error)
    process.stderr.write(`ckptd: ${known.message}\n  ${known.hint}\n`)
    return exitStatusOf(known.code)
  }
}

/** What the operating system refused is told in a sentence; anything else is a fault, with its stack. */
function sentenceOf(error: unknown): CkptdError {
  if (error instanceof CkptdError) return error
  if (errnoName(error) === undefined || !(error instanceof Error) || !('syscall' in error))
    throw error
  return fileError(error, 'starting')
}

function addConfigFlags(command: Command): void {
  command.option('--config <file>', 'configuration file (default: /etc/ckptd/config.toml)')
  for (const [setting, schema] of Object.entries(ConfigSchema.properties)) {
    const { description = '', type } = schema as { description?: string; type?: string }
    const flag = `--${setting.replaceAll('_', '-')} <value>`
    const option = new Option(flag, description)
    if (type === 'array')
      option.argParser((value: string, before?: string[]) => [...(before ?? []), value])
    command.addOption(option)
  }
}

/** Commander's camel case back to the settings' names. */
function toSettings(flags: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(flags).map(([name, value]) => [
      name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  )
}

async function mountd(config: Config, signal: AbortSignal): Promise<void> {
  const listenFd = passedSocket(process.env)
  const manager = serviceManager(process.env)
  const { uid, gid } = daemonUser(config.user)
  let signsOfLife: NodeJS.Timeout | undefined
  signal.addEventListener('abort', () => manager.notify('STOPPING=1'), { once: true })
  try {
    await runMountd({
      dataDir: config.data_dir,
      runtimeDir: config.runtime_dir,
      cdiDir: config.cdi_dir,
      containerPrefix: config.container_prefix,
      envPrefix: config.env_prefix,
      peerUid: uid,
      peerGid: gid,
      ...(listenFd === undefined ? {} : { socket: { fd: listenFd } }),
      log: createLog(config, 'ckptd-mountd'),
      signal,
      onReady: () => {
        manager.notify('READY=1')
        if (manager.watchdogMs !== undefined)
          signsOfLife = setInterval(() => manager.notify('WATCHDOG=1'), manager.watchdogMs)
      },
    })
  } finally {
    clearInterval(signsOfLife)
  }
}
