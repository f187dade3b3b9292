import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import type { AddCommand, CommandHost } from './command-host.ts'
import { addAttachCommand } from './commands/attach.ts'
import { addCreateCommand } from './commands/create.ts'
import { addDfCommand } from './commands/df.ts'
import { addJobCommand } from './commands/job.ts'
import { addJobsCommand } from './commands/jobs.ts'
import { addListCommand } from './commands/list.ts'
import { addListPublicCommand } from './commands/list-public.ts'
import { addMountsCommand } from './commands/mounts.ts'
import { addRemoveCommand } from './commands/remove.ts'
import { addRenameCommand } from './commands/rename.ts'
import { addRunCommand } from './commands/run.ts'
import { addShowCommand } from './commands/show.ts'
import { addStatusCommand } from './commands/status.ts'
import { addVerifyCommand } from './commands/verify.ts'
import { exitCodesHelp } from './exit-codes.ts'

/** In the order of the help. */
const COMMANDS: readonly AddCommand[] = [
  addCreateCommand,
  addAttachCommand,
  addListCommand,
  addListPublicCommand,
  addShowCommand,
  addRenameCommand,
  addRemoveCommand,
  addRunCommand,
  addJobsCommand,
  addJobCommand,
  addMountsCommand,
  addDfCommand,
  addStatusCommand,
  addVerifyCommand,
]

export const USAGE_HINT = '"ckpt COMMAND --help" shows what it takes.'

export function buildProgram(host: CommandHost): Command {
  const { stdout, stderr } = host.io
  const program = new Command('ckpt')
    .description('Checkpoints of this host: fill them, run jobs with them, see who uses them.')
    .version(installedVersion())
    .option('--socket <path>', 'the daemon’s socket (CKPTD_SOCKET; /run/ckptd/ckptd.sock)')
    .option('--project <project>', 'the project to act for (CKPT_PROJECT; default)')
    .option(
      '--json',
      'answer in JSON: one document, or a line an event where it follows; errors too, on stderr',
    )
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      // With --json the error is told as JSON, once it is caught.
      writeErr: (text) => {
        if (!host.json) stderr.write(text)
      },
      outputError: (text, write) => write(text.replace(/^error: /, 'ckpt: ')),
      getOutHelpWidth: () => Math.min(100, stdout.columns()),
      getErrHelpWidth: () => Math.min(100, stderr.columns()),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .showHelpAfterError(`hint: ${USAGE_HINT}`)
    .addHelpText(
      'after',
      `
Examples:
  ckpt create llama https://example.org/llama/ --source web
  ckpt list
  ckpt run --name tune --checkpoint llama --output checkpoint -- \\
      podman run --rm my-image python tune.py

${exitCodesHelp()}`,
    )
  for (const add of COMMANDS) add(program, host)
  return program
}

/** The package's own description stands two folders above, in the sources and in the build. */
function installedVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(text) as { version: string }
  return version
}
