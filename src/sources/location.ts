import { CkptdError } from '../model/errors.ts'
import { MAX_SOURCE_PATH_CHARACTERS } from './limits.ts'
import { PATH_RULES, type PathRule, type SourceType } from './path-rules.ts'
import { LOCATORS } from './registry.ts'
import type { WebLocation } from './web-location.ts'

/** Where the bytes of a checkpoint come from, checked and taken apart. */
export type SourceLocation = WebLocation

/**
 * Checks what a caller asks to fill a checkpoint from. Throws `invalid_source` where a rule is
 * broken and `unsupported_source` where the rule holds and this version cannot do it. No error
 * ever repeats the path: it may hold a password.
 */
export function parseSourceLocation(
  sourceType: string,
  path: string,
  options: Readonly<Record<string, string>>,
): SourceLocation {
  const rule = findRule(sourceType)
  checkOptions(sourceType, rule, options)
  if (
    path.length > MAX_SOURCE_PATH_CHARACTERS ||
    !path.isWellFormed() ||
    hasControlCharacter(path) ||
    path.trim() !== path ||
    !rule.accepts(path, options)
  )
    throw invalidSource(rule, `a path of the source "${sourceType}" ${rule.rule}`)
  const locate = LOCATORS[sourceType as SourceType]
  if (locate === undefined)
    throw new CkptdError(
      'unsupported_source',
      `checkpoints cannot be filled from the source "${sourceType}" yet`,
    )
  return locate(path, (why) => invalidSource(rule, why))
}

/** The whole address, secrets included: for whoever connects, never for anybody who shows. */
export function fullUri(location: SourceLocation): string {
  return location.secret?.uri ?? location.displayUri
}

function findRule(sourceType: string): PathRule {
  if (Object.hasOwn(PATH_RULES, sourceType)) return PATH_RULES[sourceType as SourceType]
  const known = Object.keys(PATH_RULES).join(', ')
  throw new CkptdError(
    'invalid_source',
    sourceType === 'trainml'
      ? 'the source "trainml" is set when a job’s output is saved, never by a caller'
      : `unknown source type; known are ${known}`,
  )
}

function checkOptions(
  sourceType: string,
  rule: PathRule,
  options: Readonly<Record<string, string>>,
): void {
  const known = rule.options ?? {}
  for (const [name, value] of Object.entries(options)) {
    const values = Object.hasOwn(known, name) ? known[name] : undefined
    if (values === undefined) {
      const names = Object.keys(known).join(', ') || 'none'
      throw invalidSource(
        rule,
        `the source "${sourceType}" has no such option; its options: ${names}`,
      )
    }
    if (value === '' || (values !== 'any' && !values.includes(value)))
      throw invalidSource(
        rule,
        `the option "${name}" must be ${values === 'any' ? 'a text' : values.join(', ')}`,
      )
  }
  for (const name of rule.requiredOptions ?? [])
    if (options[name] === undefined)
      throw invalidSource(rule, `the source "${sourceType}" needs the option "${name}"`)
}

function invalidSource(rule: PathRule, why: string): CkptdError {
  return new CkptdError('invalid_source', `${why}; a valid example: ${rule.example}`)
}

function hasControlCharacter(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  return /[\u0000-\u001f\u007f]/.test(text)
}
