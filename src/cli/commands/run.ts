import { Option } from 'commander'
import { MAX_JOB_WORKERS } from '../../model/limits.ts'
import { CommandError } from '../command-error.ts'
import { type AddCommand, collect, nonEmpty, positiveInteger } from '../command-host.ts'
import { jobOf, type RunOptions } from '../run/job-of.ts'
import { runInContainers } from '../run/run-in-containers.ts'
import { runInNamespaces } from '../run/run-in-namespaces.ts'
import { JOB_TYPES } from '../run/run-order.ts'

const EXAMPLES = `
The mounts’ arguments go right after the word "run" of the container runtime's command line,
or where the argument {ckpt} stands. {worker} in any argument becomes the worker's number.
Progress goes to stderr; with --json so does what the containers print, and stdout gets one
document at the end.

Examples:
  ckpt run --name tune --checkpoint llama --output checkpoint -- \\
      podman run --rm --name tune-{worker} my-image python tune.py
  ckpt run --name eval --checkpoint llama --checkpoint lora --workers 2 -- \\
      sudo docker run {ckpt} --rm my-image python eval.py
  ckpt run --name look --checkpoint llama --no-container -- \\
      sh -c 'ls -l "$TRAINML_CHECKPOINT_PATH"'`

export const addRunCommand: AddCommand = (parent, host) => {
  parent
    .command('run')
    .summary('run a job with checkpoints mounted read-only')
    .description(
      'Runs a job: waits until its checkpoints are ready, mounts them read-only into the container of every worker, waits until the containers are gone, saves what they wrote as new checkpoints and prints their ids. Signals are passed on to the containers; the exit status is the first one of the workers that is not 0.',
    )
    .argument('<command...>', 'after "--": podman or docker with "run", or any command')
    .requiredOption('--name <name>', 'the name of the job', nonEmpty('--name'))
    .option('--checkpoint <checkpoint>', 'id or name of one to mount (repeatable)', collect)
    .option('--public-checkpoint <id>', 'a public one to mount (repeatable)', collect)
    .addOption(
      new Option('--output <kind>', 'save what each worker wrote as a new checkpoint').choices([
        'checkpoint',
      ]),
    )
    .option('--output-owner <uid:gid>', 'who on the host writes the output', parseOwner)
    .option(
      '--workers <n>',
      'how many, all at once',
      positiveInteger('--workers', MAX_JOB_WORKERS),
      1,
    )
    .addOption(
      new Option('--type <type>', 'what kind of job it is').choices(JOB_TYPES).default('training'),
    )
    .option('--cdi', 'hand the mounts over as a CDI device')
    .option(
      '--no-container',
      'run the command in a mount namespace of its own, without CAP_SYS_ADMIN (needs root)',
    )
    .showHelpAfterError('hint: what the job runs stands after "--"; see "ckpt run --help".')
    .addHelpText('after', EXAMPLES)
    .action(async (command: string[], options: RunOptions & { readonly container: boolean }) => {
      const job = jobOf(options)
      const mount = {
        ...(options.cdi === true ? { cdi: true } : {}),
        ...(options.outputOwner === undefined ? {} : { output_owner: options.outputOwner }),
      }
      const run = options.container ? runInContainers : runInNamespaces
      await host.act((session) => run(session, { job, mount, command }))
    })
}

function parseOwner(text: string): string {
  if (!/^\d{1,10}:\d{1,10}$/.test(text))
    throw new CommandError('usage', '--output-owner must be two numbers, uid:gid')
  return text
}
