import type { Checkpoint, CheckpointDetails } from '../../agent-protocol/checkpoint.ts'
import { getCheckpoint, getDetails } from '../api/checkpoint-calls.ts'
import { type AddCommand, nonEmpty, positiveInteger } from '../command-host.ts'
import type { Session } from '../session.ts'
import { checkpointText } from '../text/checkpoint-text.ts'
import { treeEntryLine, treeHeading } from '../text/tree-text.ts'

const DEFAULT_ENTRIES = 1000
/** Asked for at once: some megabytes of answer at most. */
const PAGE_ENTRIES = 5000

interface Options {
  readonly entries: number
  readonly tree: boolean
}

export const addShowCommand: AddCommand = (parent, host) => {
  parent
    .command('show')
    .summary('show a checkpoint: its state, its users, its tree')
    .description(
      'Shows everything about a checkpoint: where it comes from, which jobs use it, why it failed and what to do, and its tree. With --json the tree stands under "details".',
    )
    .argument('<checkpoint>', 'its id or name', nonEmpty('the checkpoint'))
    .option(
      '--entries <n>',
      'show at most so many entries of the tree',
      positiveInteger('--entries', 2_000_000),
      DEFAULT_ENTRIES,
    )
    .option('--no-tree', 'leave the tree out')
    .action(async (ref: string, options: Options) => {
      await host.act(async (session) => {
        const checkpoint = await getCheckpoint(session.api, ref)
        const withTree = options.tree && hasTree(checkpoint)
        if (session.json) await showJson(session, checkpoint, withTree ? options.entries : 0)
        else await showText(session, checkpoint, withTree ? options.entries : 0)
        return undefined
      })
    })
}

function hasTree({ status }: Checkpoint): boolean {
  return status === 'ready' || status === 'exporting'
}

async function showJson(session: Session, checkpoint: Checkpoint, entries: number): Promise<void> {
  let details: CheckpointDetails | undefined
  for await (const page of detailPages(session, checkpoint.id, entries)) {
    if (details === undefined) details = page
    else details.contents.push(...page.contents)
  }
  session.answer(details === undefined ? checkpoint : { ...checkpoint, details }, () => '')
}

async function showText(session: Session, checkpoint: Checkpoint, entries: number): Promise<void> {
  const { stdout } = session.io
  stdout.write(checkpointText(checkpoint))
  let shown = 0
  let count = 0
  for await (const page of detailPages(session, checkpoint.id, entries)) {
    if (shown === 0) stdout.write(`\n${treeHeading(page)}\n`)
    for (const entry of page.contents) stdout.write(`${treeEntryLine(entry)}\n`)
    shown += page.contents.length
    count = Number(page.count)
    await stdout.drained()
  }
  if (shown < count) stdout.write(`… and ${count - shown} more (--entries ${count} shows all)\n`)
}

/** The tree in pages, up to so many entries. */
async function* detailPages(
  { api }: Session,
  ref: string,
  entries: number,
): AsyncGenerator<CheckpointDetails, void, undefined> {
  let offset = 0
  while (offset < entries) {
    const limit = Math.min(PAGE_ENTRIES, entries - offset)
    const page = await getDetails(api, ref, { offset, limit })
    yield page
    offset += page.contents.length
    // An empty page ends it too, whatever the count says.
    if (page.contents.length === 0 || offset >= Number(page.count)) return
  }
}
