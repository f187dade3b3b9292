import type { Checkpoint } from '../../agent-protocol/checkpoint.ts'
import { ERRORS } from '../../model/errors.ts'
import { formatBytes } from '../../model/size-text.ts'
import { getCheckpoint, removeCheckpoint } from '../api/checkpoint-calls.ts'
import { CommandError } from '../command-error.ts'
import { type AddCommand, nonEmpty } from '../command-host.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import type { Session } from '../session.ts'
import { userLine } from '../text/checkpoint-text.ts'
import { printable } from '../text/printable.ts'

export const addRemoveCommand: AddCommand = (parent, host) => {
  parent
    .command('remove')
    .summary('remove a checkpoint')
    .description(
      'Removes a checkpoint, after asking. One that unfinished jobs are configured to use is never removed: the refusal lists them.',
    )
    .argument('<checkpoint>', 'its id or name', nonEmpty('the checkpoint'))
    .option('--force', 'do not ask, and cancel a filling in progress; never overrides "in use"')
    .action(async (ref: string, { force = false }: { readonly force?: boolean }) => {
      await host.act(async (session) => {
        if (!force && !session.io.stdin.isTTY)
          throw new CommandError('usage', `"${ref}" is not removed: nobody is here to be asked`, {
            hint: 'Give --force to remove it without a question.',
          })
        // What was asked about is what is removed: from here on it goes by its id.
        const checkpoint = await getCheckpoint(session.api, ref)
        if (!force) {
          refuseWhatWouldBeRefused(checkpoint)
          if (!(await confirmed(session, checkpoint))) {
            session.io.stderr.write('ckpt: nothing was removed\n')
            return EXIT_CODES.failure.status
          }
        }
        const removed = await removeCheckpoint(session.api, checkpoint.id, force)
        session.answer(removed, () => `removed ${describe(checkpoint)}\n`)
        return undefined
      })
    })
}

async function confirmed({ io }: Session, checkpoint: Checkpoint): Promise<boolean> {
  const reply = await io.stdin.ask(
    `Remove ${describe(checkpoint)}, ${formatBytes(checkpoint.size)}? [y/N] `,
  )
  return /^y(es)?$/i.test(reply?.trim() ?? '')
}

/** Before anybody is asked; the daemon looks once more when it decides. */
function refuseWhatWouldBeRefused(checkpoint: Checkpoint): void {
  const { used_by, status, source_type } = checkpoint
  if (used_by.length > 0) {
    const users = used_by.map(userLine).join('; ')
    throw new CommandError('conflict', `${describe(checkpoint)} is used by ${users}`, {
      code: 'in_use',
      hint: ERRORS.in_use.hint,
    })
  }
  if (status !== 'new' && status !== 'downloading') return
  const saved = source_type === 'trainml'
  const doing = saved ? 'being saved from a job’s output' : 'being filled'
  throw new CommandError('conflict', `${describe(checkpoint)} is ${doing}`, {
    code: 'conflict',
    hint: saved ? 'Wait until it is saved.' : 'Give --force to cancel that and remove it.',
  })
}

function describe({ id, name }: Checkpoint): string {
  return `"${printable(name)}" (${printable(id)})`
}
