import { renameCheckpoint } from '../api/checkpoint-calls.ts'
import { type AddCommand, nonEmpty } from '../command-host.ts'
import { printable } from '../text/printable.ts'

export const addRenameCommand: AddCommand = (parent, host) => {
  parent
    .command('rename')
    .summary('give a checkpoint another name')
    .description(
      'Changes the name of a checkpoint. Jobs that are registered keep the directory names they have.',
    )
    .argument('<checkpoint>', 'its id or name', nonEmpty('the checkpoint'))
    .argument('<name>', 'its new name', nonEmpty('the name'))
    .action(async (ref: string, name: string) => {
      await host.act(async ({ api, answer }) => {
        const checkpoint = await renameCheckpoint(api, ref, name)
        answer(
          checkpoint,
          () => `${printable(checkpoint.id)} is now called ${printable(checkpoint.name)}\n`,
        )
        return undefined
      })
    })
}
